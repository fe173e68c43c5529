"""Cropping a layout to a square of its picture."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifadapter_core.layout import Box, Instance, Layout
from training.pictures.crop import crop

boxes = st.tuples(*[st.floats(0, 0.95), st.floats(0, 0.95), st.floats(0.02, 1), st.floats(0.02, 1)]).map(
    lambda edges: Box(edges[0], edges[1], min(edges[0] + edges[2], 1.0), min(edges[1] + edges[3], 1.0))
)
layouts = st.builds(
    lambda width, height, found: Layout(
        width, height, tuple(Instance(box, str(number)) for number, box in enumerate(found)), "all"
    ),
    st.integers(16, 400),
    st.integers(16, 400),
    st.lists(boxes, min_size=1, max_size=4),
)


@given(layouts, st.one_of(st.none(), st.integers(0, 1000)))
@settings(max_examples=200, deadline=None)
def test_a_crop_keeps_boxes_that_are_mostly_inside_and_at_least_one(layout: Layout, seed: int | None) -> None:
    randomness = None if seed is None else torch.Generator().manual_seed(seed)
    square, cut = crop(layout, randomness)
    assert square.side == min(layout.width, layout.height) == cut.width == cut.height
    assert 0 <= square.x <= layout.width - square.side
    assert 0 <= square.y <= layout.height - square.side
    assert cut.instances
    assert cut.caption == "all"
    shares = {}
    for instance in layout.instances:
        x0, y0, x1, y1 = (
            edge * extent
            for edge, extent in zip(instance.box, (layout.width, layout.height) * 2, strict=True)
        )
        width = max(min(x1, square.x + square.side) - max(x0, square.x), 0)
        height = max(min(y1, square.y + square.side) - max(y0, square.y), 0)
        shares[instance.local_description] = width * height / ((x1 - x0) * (y1 - y0))
    shown = cut.local_descriptions
    assert shown == sorted(shown)  # order = depth
    assert set(shown) >= {text for text, share in shares.items() if share > 0.5 + 1e-6}
    # Only the box that the crop was moved to.
    assert len([text for text in shown if shares[text] < 0.5 - 1e-6]) <= 1
    for instance in cut.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        whole = layout.instances[int(instance.local_description)].box
        assert x1 - x0 <= (whole.x1 - whole.x0) * layout.width / square.side + 1e-6


def test_a_box_is_dropped_when_less_than_half_is_inside() -> None:
    """The central square of 300 x 100 pixels spans x = 100..200."""
    spans = [(60, 141), (60, 139), (151, 249), (92, 110), (0, 40)]
    layout = Layout(
        300, 100, tuple(Instance(Box(x0 / 300, 0.2, x1 / 300, 0.7), f"{x0}-{x1}") for x0, x1 in spans)
    )
    square, cut = crop(layout)
    assert square == (100, 0, 100)
    assert cut.local_descriptions == ["60-141", "151-249", "92-110"]
    assert cut.boxes[0] == pytest.approx((0, 0.2, 0.41, 0.7))
    assert cut.boxes[1] == pytest.approx((0.51, 0.2, 1, 0.7))


def test_a_crop_without_boxes_is_moved_to_a_box() -> None:
    layout = Layout(
        300, 100, (Instance(Box(0.0, 0.2, 0.2, 0.7), "left"), Instance(Box(0.9, 0.2, 1.0, 0.7), "right"))
    )
    assert crop(layout)[1].local_descriptions == ["left"]
    found = {
        tuple(crop(layout, torch.Generator().manual_seed(seed))[1].local_descriptions) for seed in range(40)
    }
    assert found == {("left",), ("right",)}


def test_a_box_larger_than_the_crop_is_cut() -> None:
    layout = Layout(500, 100, (Instance(Box(0.1, 0.2, 0.9, 0.7), "long"),))
    square, cut = crop(layout)
    assert square == (200, 0, 100)
    assert cut.boxes == [Box(0.0, 0.2, 1.0, 0.7)]
