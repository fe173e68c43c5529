"""Masks of boxes: pixels, visibility, growth and soft edges."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.conversions.masks import box_masks
from ifadapter_core.geometry import mask_boxes
from ifadapter_core.layout import Box

EDGES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)
BOXES = st.lists(
    st.tuples(EDGES, EDGES).map(lambda edges: Box(edges[0][0], edges[1][0], edges[0][1], edges[1][1])),
    min_size=1,
    max_size=8,
)
SIDES = st.integers(1, 60)
GROWTH = st.integers(-20, 20)
FEATHER = st.integers(0, 30)


def test_a_mask_covers_the_pixels_of_its_box() -> None:
    (mask,) = box_masks([Box(0.25, 0.5, 0.75, 1.0)], height=8, width=16)
    expected = torch.zeros(8, 16)
    expected[4:8, 4:12] = 1
    assert torch.equal(mask, expected)


@given(BOXES, SIDES, SIDES)
def test_a_box_around_a_mask_is_the_box_to_half_a_pixel(boxes: list[Box], height: int, width: int) -> None:
    masks = box_masks(boxes, height, width)
    assert masks.dtype == torch.float32
    for box, (x0, y0, x1, y1) in zip(boxes, mask_boxes(masks), strict=True):
        has_pixel = (x1 - x0) * width > 1.5, (y1 - y0) * height > 1.5
        room = [
            0.5 / size if fits else 1.0 / size for size, fits in zip((width, height), has_pixel, strict=True)
        ]
        assert abs(x0 - box.x0) <= room[0] + 1e-9
        assert abs(x1 - box.x1) <= room[0] + 1e-9
        assert abs(y0 - box.y0) <= room[1] + 1e-9
        assert abs(y1 - box.y1) <= room[1] + 1e-9


@given(BOXES, SIDES, SIDES, GROWTH)
def test_visible_masks_share_out_the_union_in_depth_order(
    boxes: list[Box], height: int, width: int, grow: int
) -> None:
    whole = box_masks(boxes, height, width, grow=grow)
    visible = box_masks(boxes, height, width, visible=True, grow=grow)
    assert torch.equal(visible.sum(dim=0), whole.amax(dim=0))  # disjoint, and nothing is lost
    numbers = torch.arange(1, len(boxes) + 1)[:, None, None]
    nearest = (whole * numbers).amax(dim=0)
    assert torch.equal((visible * numbers).sum(dim=0), nearest)


@given(BOXES, SIDES, SIDES, GROWTH, FEATHER)
def test_soft_visible_masks_never_add_up_to_more_than_one(
    boxes: list[Box], height: int, width: int, grow: int, feather: int
) -> None:
    whole = box_masks(boxes, height, width, grow=grow, feather=feather)
    visible = box_masks(boxes, height, width, visible=True, grow=grow, feather=feather)
    assert visible.min() >= 0
    torch.testing.assert_close(visible.sum(dim=0), 1 - (1 - whole).prod(dim=0))
    assert torch.equal(visible[-1], whole[-1])  # nothing is in front of the last


@given(BOXES, SIDES, SIDES, GROWTH, FEATHER)
def test_soft_edges_stay_inside_the_hard_mask_and_every_mask_has_a_pixel(
    boxes: list[Box], height: int, width: int, grow: int, feather: int
) -> None:
    hard = box_masks(boxes, height, width, grow=grow)
    soft = box_masks(boxes, height, width, grow=grow, feather=feather)
    assert torch.equal(soft > 0, hard > 0)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    assert (hard.flatten(1).sum(dim=1) >= 1).all()
    assert (soft.flatten(1).amax(dim=1) == 1).all()  # in the middle


@given(BOXES, SIDES, SIDES, st.integers(1, 20))
def test_growing_contains_and_shrinking_is_contained(
    boxes: list[Box], height: int, width: int, grow: int
) -> None:
    plain = box_masks(boxes, height, width)
    assert (box_masks(boxes, height, width, grow=grow) >= plain).all()
    assert (box_masks(boxes, height, width, grow=-grow) <= plain).all()


def test_growth_is_in_pixels_on_each_side_and_stops_at_the_picture() -> None:
    box = Box(0.1, 0.4, 0.5, 0.6)
    assert mask_boxes(box_masks([box], 100, 100, grow=20)) == [(0.0, 0.2, 0.7, 0.8)]
    assert mask_boxes(box_masks([box], 100, 100, grow=-5)) == [(0.15, 0.45, 0.45, 0.55)]
    assert mask_boxes(box_masks([box], 100, 100, grow=-50)) == [(0.3, 0.5, 0.31, 0.51)]


def test_feather_falls_linearly_inside_the_box_but_not_at_the_picture() -> None:
    (mask,) = box_masks([Box(0.0, 0.0, 0.5, 1.0)], height=4, width=40, feather=10)
    assert torch.equal(mask[0], mask[3])
    assert mask[0, :10].tolist() == [1.0] * 10
    torch.testing.assert_close(mask[0, 10:20], torch.linspace(0.95, 0.05, 10))
    assert mask[0, 20:].max() == 0


@pytest.mark.parametrize("visible", [False, True])
def test_no_boxes_give_a_batch_of_no_masks(visible: bool) -> None:
    assert box_masks([], 4, 6, visible=visible).shape == (0, 4, 6)
