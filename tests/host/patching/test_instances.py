"""How instances share the picture: strengths, depth order, masks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import oracle
import reference
from sampling import TOLERANCE


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def test_strengths_of_instances(apply, tokens, term, model, inputs):
    expected = oracle.patch(model, replace(term, strengths=(1.0, 0.5, 0.0)))
    for text in ("1, 0.5, 0", "1 0.5 0"):
        assert (
            oracle.max_difference(
                oracle.predict(apply(tokens, strengths=text), inputs), oracle.predict(expected, inputs)
            )
            <= TOLERANCE
        )
    assert torch.equal(
        oracle.predict(apply(tokens, strengths="1,1,1"), inputs), oracle.predict(apply(tokens), inputs)
    )


def test_layout_order_hides_covered_instances(apply, tokens, term, model, inputs):
    def visible(height: int, width: int) -> Tensor:
        boxes = reference.box_masks(torch.tensor(oracle.THREE), height, width)
        return torch.stack([boxes[i] & ~boxes[i + 1 :].any(dim=0) for i in range(3)])

    expected = oracle.predict(oracle.patch(model, replace(term, masks=visible)), inputs)
    assert oracle.max_difference(oracle.predict(apply(tokens), inputs), expected) > 100 * TOLERANCE
    assert (
        oracle.max_difference(oracle.predict(apply(tokens, depth_order="layout order"), inputs), expected)
        <= TOLERANCE
    )


def test_masks_refine_the_boxes(apply, tokens, term, model, inputs):
    cells = torch.ones(3, 8, 8, dtype=torch.bool)  # the grid of a 32 x 32 latent
    cells[0, :5], cells[1, :, 6:], cells[2] = False, False, torch.eye(8, dtype=torch.bool)
    masks = cells.float().repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    expected = oracle.patch(
        model, replace(term, masks=lambda h, w: cells & reference.box_masks(torch.tensor(oracle.THREE), h, w))
    )
    assert (
        oracle.max_difference(
            oracle.predict(apply(tokens, masks=masks), inputs), oracle.predict(expected, inputs)
        )
        <= TOLERANCE
    )


def test_masks_of_ones_change_no_bit(apply, tokens, inputs):
    assert torch.equal(
        oracle.predict(apply(tokens, masks=torch.ones(3, 60, 44)), inputs),
        oracle.predict(apply(tokens), inputs),
    )


def test_mask_empty_inside_its_box_is_an_error(apply, tokens):
    masks = torch.ones(3, 64, 64)
    masks[1, 6:29, 35:61] = 0  # box 2, in pixels of the mask
    with pytest.raises(ValueError, match="Mask 2 is empty inside box 2"):
        apply(tokens, masks=masks)


def test_wrong_number_of_masks_is_an_error(apply, tokens):
    with pytest.raises(ValueError, match=r"\(2, 64, 64\) for 3 instances"):
        apply(tokens, masks=torch.ones(2, 64, 64))


@pytest.mark.parametrize(
    ("text", "named"),
    [("1, 2", "has 2 numbers"), ("1, 2, x", "'x'"), ("1, 2, inf", "finite"), ("1,2,nan", "finite")],
)
def test_wrong_strengths_are_an_error(apply, tokens, text, named):
    with pytest.raises(ValueError, match=named):
        apply(tokens, strengths=text)
