"""Rows that are not simply positive and negative: crops, masks, tiles, windows of a long batch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import comfy.sample
import pytest
import torch
from torch import Tensor

import dense
import nodes
from runs import OTHER, POSITIVE, SIZE, allowed, assert_alike, sample, warnings_of

CROP = {"height": 16, "width": 12, "top": 4, "left": 8}


def in_crop(boxes: Tensor) -> Tensor:
    """The boxes of a picture as fractions of CROP, cut at its edges."""
    height, width = SIZE
    left, top = CROP["left"] / width, CROP["top"] / height
    right, bottom = left + CROP["width"] / width, top + CROP["height"] / height
    inside = boxes.clamp(torch.tensor([left, top, left, top]), torch.tensor([right, bottom, right, bottom]))
    return (inside - torch.tensor([left, top, left, top])) / torch.tensor([right - left, bottom - top] * 2)


def is_crop(options: dict) -> bool:
    return tuple(options["original_shape"][-2:]) == (CROP["height"], CROP["width"])


def test_an_area_gets_the_boxes_as_they_lie_in_it(apply, tokens, term, model):
    """The crop is sampled as a picture of its own, so the boxes must move with it."""
    region = nodes.ConditioningSetArea().append(
        OTHER, CROP["width"] * 8, CROP["height"] * 8, CROP["left"] * 8, CROP["top"] * 8, 1.0
    )[0]
    whole = replace(term, active=lambda options: not is_crop(options))
    part = replace(term, boxes=in_crop(term.boxes), active=is_crop)
    positive = POSITIVE + region
    assert_alike(
        *(
            sample(patcher, positive=positive)
            for patcher in (apply(tokens), dense.place(model, whole, part), model)
        )
    )
    wrong = sample(dense.place(model, whole, replace(term, active=is_crop)), positive=positive)
    assert dense.difference(wrong, sample(apply(tokens), positive=positive)) > 1e-3


def test_an_area_beside_all_boxes_is_left_alone(apply, make_tokens, model, checkpoint):
    """Boxes outside of a crop cover none of its cells."""
    boxes = [(0.0, 0.0, 0.3, 0.1)]
    region = nodes.ConditioningSetArea().append(
        OTHER, CROP["width"] * 8, CROP["height"] * 8, CROP["left"] * 8, CROP["top"] * 8, 1.0
    )[0]
    term = dense.make_term(checkpoint, dense.make_phrases(1), boxes)
    whole = replace(term, active=lambda options: not is_crop(options))
    positive = POSITIVE + region
    assert_alike(
        *(
            sample(patcher, positive=positive)
            for patcher in (apply(make_tokens(boxes)), dense.place(model, whole), model)
        )
    )


def test_masked_conditionings_are_both_positive(apply, tokens, term, model):
    left, right = torch.zeros(*SIZE), torch.zeros(*SIZE)
    left[:, :10], right[:, 10:] = 1, 1
    positive = [
        entry
        for conditioning, mask in ((POSITIVE, left), (OTHER, right))
        for entry in nodes.ConditioningSetMask().append(conditioning, mask[None], "default", 1.0)[0]
    ]
    assert_alike(
        *(sample(patcher, positive=positive) for patcher in (apply(tokens), dense.place(model, term), model))
    )


@pytest.mark.parametrize("size", [(104, 152), (24, 13), (67, 45)], ids=str)
def test_any_picture_size(apply, tokens, term, model, size):
    """832 x 1216 pixels, an odd width, and sides that are no multiple of the UNet's."""

    def run(patcher: Any) -> Tensor:
        return sample(patcher, size=size)

    assert_alike(run(apply(tokens)), run(dense.place(model, term)), run(model))


def tiled(model: Any, height: int) -> Any:
    """A clone that has the UNet called on the upper and the lower part of the picture, as packs for tiles do."""
    clone = model.clone()

    def wrap(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
        parts = [
            apply_model(part, call["timestep"], **call["c"])
            for part in (call["input"][..., :height, :], call["input"][..., height:, :])
        ]
        return torch.cat(parts, dim=-2)

    clone.set_model_unet_function_wrapper(wrap)
    return clone


def test_tiles_of_unknown_place_are_left_alone_with_one_warning(apply, tokens, model, caplog):
    got = sample(tiled(apply(tokens), 8))
    assert got.equal(sample(tiled(model, 8)))
    assert len(warnings_of(caplog)) == 1
    assert "does not say where they lie" in caplog.text


def test_the_next_run_after_tiles_acts_and_another_one_with_tiles_warns_again(apply, tokens, model, caplog):
    patched = apply(tokens)
    sample(tiled(patched, 8))
    caplog.clear()
    assert not sample(patched).equal(sample(model))
    assert not warnings_of(caplog)
    sample(tiled(patched, 8))
    assert caplog.text.count("does not say where they lie") == 1


# A batch with a layout for each image


@pytest.fixture(scope="module")
def layouts(ifadapter, make_tokens):
    """Three, one without instances."""
    return [make_tokens(dense.THREE), ifadapter.model.no_instances(), make_tokens(dense.ONE)]


@pytest.fixture(scope="module")
def apply_all(node, ifadapter, model):
    def apply_all(*tokens: Any) -> Any:
        maps = [node("IFAdapterSemanticMap", tokens=part)[0] for part in tokens]
        batch = node("IFAdapterBatchMaps", semantic_maps=maps[:2], more_maps=maps[2:] or None)[0]
        schedule = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        return node("IFAdapterApply", model=model, ifadapter=ifadapter, semantic_map=batch, **schedule)[0]

    return apply_all


def test_each_image_of_a_batch_has_its_own_layout(apply_all, apply, layouts, model):
    together = sample(apply_all(*layouts), batch=4)  # the fourth has the first layout again
    noise = comfy.sample.prepare_noise(torch.zeros(4, 4, *SIZE), 7)
    for image, tokens in enumerate([*layouts, layouts[0]]):
        alone = sample(apply(tokens), noise=noise[image : image + 1])
        assert dense.difference(together[image : image + 1], alone) <= allowed(together)
    plain = sample(model, batch=4)
    assert dense.difference(together[1], plain[1]) <= allowed(together)
    assert all(
        dense.difference(together[image], plain[image]) > 100 * allowed(together) for image in (0, 2, 3)
    )


def test_a_batch_of_one_is_that_map(apply_all, apply, layouts):
    assert sample(apply_all(layouts[0]), batch=2).equal(sample(apply(layouts[0]), batch=2))


def test_maps_of_different_encoders_are_an_error(node, layouts):
    maps = [
        node("IFAdapterSemanticMap", tokens=part)[0] for part in (layouts[0], layouts[2].select(True, False))
    ]
    with pytest.raises(ValueError, match="12 and 13 tokens for each instance"):
        node("IFAdapterBatchMaps", semantic_maps=maps)


def test_windows_of_a_long_batch_name_their_images(rows_module):
    """The tag counts the images of a call; the window says which of the batch they are."""
    tag = torch.tensor([[1, image, 0, 0, 8, 8, 8, 8] for image in range(3)], dtype=torch.int32)
    options = {"original_shape": (3, 4, 8, 8), "context_window": SimpleNamespace(index_list=[4, 5, 6])}
    assert [row.image for row in rows_module.rows_of(tag, options, 3)] == [4, 5, 6]
    options = {"original_shape": (3, 4, 8, 8), "ad_params": {"sub_idxs": [7, 8, 9]}}
    assert [row.image for row in rows_module.rows_of(tag, options, 3)] == [7, 8, 9]
    assert [row.image for row in rows_module.rows_of(tag, {"original_shape": (3, 4, 8, 8)}, 3)] == [0, 1, 2]


@pytest.fixture
def rows_module():
    """nodes/host/rows.py under the name that the host gave the pack."""
    pack = sys.modules[nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"].__module__.removesuffix(".loader")]
    return sys.modules[f"{pack.__name__}.host.rows"]
