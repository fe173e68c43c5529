"""Boxes and their cells on the grid of an adapted layer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import reference
from ifadapter_core.geometry import box_iou, cell_range
from layer_scenes import single_boxes


@settings(max_examples=300)
@given(box=single_boxes(), height=st.integers(1, 40), width=st.integers(1, 40))
@example(box=(0.7, 0.0, 0.9, 0.7), height=10, width=10)
@example(box=(0.3, 0.6, 0.7, 0.9), height=10, width=10)
@example(box=(0.9999999, 0.9999999, 1.0, 1.0), height=33, width=33)
@example(box=(1.0, 1.0, 1.0, 1.0), height=7, width=5)
@example(box=(0.5, 0.5, 0.5, 0.5), height=8, width=8)
def test_cells_of_a_box_match_the_reference(
    box: tuple[float, float, float, float], height: int, width: int
) -> None:
    cells = cell_range(box, height, width)
    got = torch.zeros(height, width, dtype=torch.bool)
    got[cells.rows, cells.columns] = True
    assert got.equal(reference.box_mask(torch.tensor(box), height, width))
    assert cells.height * cells.width == int(got.sum()) > 0


BOX_PX = (10.0, 20.0, 110.0, 70.0)


@pytest.mark.parametrize("iou", [0.0, 0.49, 0.5, 0.51, 1.0])
def test_box_iou_of_a_shifted_box(iou: float) -> None:
    shift = (1 - iou) / (1 + iou) * (BOX_PX[2] - BOX_PX[0])
    shifted = (BOX_PX[0] + shift, BOX_PX[1], BOX_PX[2] + shift, BOX_PX[3])
    assert box_iou(BOX_PX, shifted) == pytest.approx(iou)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(BOX_PX, (200, 0, 210, 10), id="apart"),
        pytest.param(BOX_PX, (30, 30, 30, 60), id="one without area"),
        pytest.param((0, 0, 0, 0), (0, 0, 0, 0), id="both without area"),
    ],
)
def test_box_iou_is_zero_without_overlap(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    assert box_iou(a, b) == box_iou(b, a) == 0


def test_box_iou_accepts_any_unit() -> None:
    assert box_iou((0, 0, 3, 1), (1, 0, 4, 1)) == 0.5
    assert box_iou((0, 0, 0.75, 0.25), (0.25, 0, 1, 0.25)) == 0.5
