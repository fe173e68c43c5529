"""Picture sizes, deep shrink, inpainting, second passes, and boxes smaller than a cell."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
from torch import Tensor

import oracle
from sampling import SIZE, assert_alike, ksampler, sample


def run_deep_shrink(model: Any) -> Tensor:
    """The UNet works at half the resolution in the first part of the schedule."""
    shrunk = PatchModelAddDownscale.execute(model, 3, 2.0, 0.0, 0.35, True, "bicubic", "bicubic")[0]
    return sample(shrunk, size=(32, 24), steps=4)


class ShrunkTerm(oracle.Term):
    """The oracle's term for a UNet that has a quarter of the cells while it is shrunk."""

    def added(self, processor: int, q: Tensor, options: dict) -> Tensor | float:
        height, width = oracle.grid_of(options["original_shape"])
        if q.shape[1] != height * width:
            height, width = oracle.grid_of((2 * height, 2 * width))
            options = {**options, "original_shape": (*options["original_shape"][:2], 4 * height, 4 * width)}
        return super().added(processor, q, options)


def test_deep_shrink(apply, tokens, term, model):
    shrunk = ShrunkTerm(**vars(term))
    assert_alike(
        run_deep_shrink(apply(tokens)), run_deep_shrink(oracle.patch(model, shrunk)), run_deep_shrink(model)
    )


def latent_of(size: tuple[int, int], seed: int = 3) -> Tensor:
    return torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(168, 96), (96, 168)], ids=["1344 x 768", "768 x 1344"])
def test_large_sizes(apply, tokens, term, model, size):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, size=size, steps=1, cfg=1.0)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


def test_image_to_image(apply, tokens, term, model):
    def run(patcher: Any) -> Tensor:
        return sample(patcher, latent=latent_of(SIZE), steps=5, denoise=0.5)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


def test_inpainting(apply, tokens, term, model):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 6:18, 4:16] = 1

    def run(patcher: Any) -> Tensor:
        return sample(patcher, latent=latent_of(SIZE), noise_mask=mask)

    got = run(apply(tokens))
    assert_alike(got, run(oracle.patch(model, term)), run(model))
    # The unmasked part stays.
    assert oracle.max_difference(got * (1 - mask), latent_of(SIZE) * (1 - mask)) <= 1e-4


def test_second_pass_at_another_size(apply, tokens, term, model):
    """One patched model for both passes, as in a high-resolution fix."""

    def run(patcher: Any) -> Tensor:
        first = sample(patcher, size=(24, 16))
        larger = torch.nn.functional.interpolate(first, size=(36, 24), mode="nearest")
        return sample(patcher, latent=larger, denoise=0.6, steps=4)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


@pytest.mark.parametrize("size", [(104, 152), (24, 13), (67, 45)], ids=str)
def test_any_picture_size(apply, tokens, term, model, size):
    """832 x 1216 pixels, odd sides, and sides that are not multiples of the UNet's stride."""

    def run(patcher: Any) -> Tensor:
        return sample(patcher, size=size)

    assert_alike(run(apply(tokens)), run(oracle.patch(model, term)), run(model))


def test_boxes_smaller_than_a_cell_work_with_one_warning(apply, make_tokens, checkpoint, model, caplog):
    """An 8 x 8 latent has 2 x 2 cells."""
    boxes = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.4, 0.9), (0.0, 0.5, 0.5, 1.0), (0.55, 0.6, 0.9, 0.95)]
    term = oracle.make_term(checkpoint, oracle.make_phrases(4), boxes)
    patched = apply(make_tokens(boxes))
    with caplog.at_level(logging.WARNING):
        got = ksampler(patched, size=(8, 8))
    warnings = [record.getMessage() for record in caplog.records if "IFAdapter" in record.getMessage()]
    assert len(warnings) == 1
    assert "2 x 2 cells" in warnings[0]
    assert "box 2, 4 " in warnings[0]
    assert_alike(got, ksampler(oracle.patch(model, term), size=(8, 8)), ksampler(model, size=(8, 8)))
