"""Rows that show a part of the picture or a part of the batch: areas, masks, tiles, context windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import nodes
import oracle
from loaded_pack import pack_module
from sampling import OTHER, POSITIVE, SIZE, assert_alike, sample, warnings_of

CROP = {"height": 16, "width": 12, "top": 4, "left": 8}


def in_crop(boxes: Tensor) -> Tensor:
    """Boxes (N, 4) of a picture as fractions of CROP, clipped at its edges."""
    height, width = SIZE
    left, top = CROP["left"] / width, CROP["top"] / height
    right, bottom = left + CROP["width"] / width, top + CROP["height"] / height
    inside = boxes.clamp(torch.tensor([left, top, left, top]), torch.tensor([right, bottom, right, bottom]))
    return (inside - torch.tensor([left, top, left, top])) / torch.tensor([right - left, bottom - top] * 2)


def is_crop(options: dict) -> bool:
    return tuple(options["original_shape"][-2:]) == (CROP["height"], CROP["width"])


def test_area_gets_boxes_in_its_own_coordinates(apply, tokens, term, model):
    """The area is sampled as a separate picture, so the boxes need its coordinates."""
    region = nodes.ConditioningSetArea().append(
        OTHER, CROP["width"] * 8, CROP["height"] * 8, CROP["left"] * 8, CROP["top"] * 8, 1.0
    )[0]
    whole = replace(term, active=lambda options: not is_crop(options))
    part = replace(term, boxes=in_crop(term.boxes), active=is_crop)
    positive = POSITIVE + region
    assert_alike(
        *(
            sample(patcher, positive=positive)
            for patcher in (apply(tokens), oracle.patch(model, whole, part), model)
        )
    )
    wrong = sample(oracle.patch(model, whole, replace(term, active=is_crop)), positive=positive)
    assert oracle.max_difference(wrong, sample(apply(tokens), positive=positive)) > 1e-3


def test_area_without_boxes_is_unchanged(apply, make_tokens, model, checkpoint):
    """Boxes outside of an area cover none of its cells."""
    boxes = [(0.0, 0.0, 0.3, 0.1)]
    region = nodes.ConditioningSetArea().append(
        OTHER, CROP["width"] * 8, CROP["height"] * 8, CROP["left"] * 8, CROP["top"] * 8, 1.0
    )[0]
    term = oracle.make_term(checkpoint, oracle.make_phrases(1), boxes)
    whole = replace(term, active=lambda options: not is_crop(options))
    positive = POSITIVE + region
    assert_alike(
        *(
            sample(patcher, positive=positive)
            for patcher in (apply(make_tokens(boxes)), oracle.patch(model, whole), model)
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
        *(sample(patcher, positive=positive) for patcher in (apply(tokens), oracle.patch(model, term), model))
    )


def test_masked_region_with_the_whole_picture(apply, tokens, term, model):
    """Both are positive, and the region has its own strength."""
    mask = torch.zeros(1, *SIZE)
    mask[:, 4:12] = 1
    positive = POSITIVE + nodes.ConditioningSetMask().append(OTHER, mask, "default", 0.6)[0]
    assert_alike(
        *(sample(patcher, positive=positive) for patcher in (apply(tokens), oracle.patch(model, term), model))
    )


def tiled(model: Any, height: int) -> Any:
    """A clone that calls the UNet on the upper and lower part of the picture, as packs for tiles do."""
    clone = model.clone()

    def wrap(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
        parts = [
            apply_model(part, call["timestep"], **call["c"])
            for part in (call["input"][..., :height, :], call["input"][..., height:, :])
        ]
        return torch.cat(parts, dim=-2)

    clone.set_model_unet_function_wrapper(wrap)
    return clone


def test_tiles_at_unknown_positions_are_unchanged_with_one_warning(apply, tokens, model, caplog):
    got = sample(tiled(apply(tokens), 8))
    assert got.equal(sample(tiled(model, 8)))
    assert len(warnings_of(caplog)) == 1
    assert "does not give their positions" in caplog.text


def test_run_after_tiles_acts_and_next_tiled_run_warns_again(apply, tokens, model, caplog):
    patched = apply(tokens)
    sample(tiled(patched, 8))
    caplog.clear()
    assert not sample(patched).equal(sample(model))
    assert not warnings_of(caplog)
    sample(tiled(patched, 8))
    assert caplog.text.count("does not give their positions") == 1


@pytest.fixture
def rows_module():
    return pack_module("nodes.host.rows")


def test_context_windows_map_to_batch_images(rows_module):
    """The tag has image indices in the call; the context window maps them to the batch."""
    tag = torch.tensor([[1, image, 0, 0, 8, 8, 8, 8] for image in range(3)], dtype=torch.int32)
    options = {"original_shape": (3, 4, 8, 8), "context_window": SimpleNamespace(index_list=[4, 5, 6])}
    assert [row.image for row in rows_module.rows_of(tag, options, 3)] == [4, 5, 6]
    options = {"original_shape": (3, 4, 8, 8), "ad_params": {"sub_idxs": [7, 8, 9]}}
    assert [row.image for row in rows_module.rows_of(tag, options, 3)] == [7, 8, 9]
    assert [row.image for row in rows_module.rows_of(tag, {"original_shape": (3, 4, 8, 8)}, 3)] == [0, 1, 2]
