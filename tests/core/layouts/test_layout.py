"""A layout is checked when it is made."""

from __future__ import annotations

import math

import pytest

from ifadapter_core.layout import Box, Instance, Layout, LayoutError

INSIDE = Box(0.1, 0.2, 0.5, 0.6)


def test_borders_and_boxes_without_area_are_allowed() -> None:
    for box in (Box(0, 0, 1, 1), Box(0.3, 0.3, 0.3, 0.9), Box(1, 1, 1, 1)):
        assert Layout(1, 1, (Instance(box, "a cat", -0.5),)).boxes == [box]


@pytest.mark.parametrize(("width", "height"), [(0, 64), (64, 0), (-1, 64), (64, math.nan)])
def test_canvas_needs_a_pixel(width: int, height: int) -> None:
    with pytest.raises(LayoutError, match=f"canvas is {width} x {height} pixels; expected at least 1 x 1"):
        Layout(width, height)


@pytest.mark.parametrize(
    "box",
    [
        Box(0.5, 0.2, 0.1, 0.6),
        Box(0.1, 0.6, 0.5, 0.2),
        Box(-0.1, 0, 1, 1),
        Box(0, 0, 1, 1.1),
        Box(0, math.nan, 1, 1),
        Box(0, 0, math.inf, 1),
    ],
)
def test_error_names_a_box_out_of_range(box: Box) -> None:
    with pytest.raises(LayoutError, match=r"Box 2 is \(.*\); expected left, top, right and bottom"):
        Layout(64, 64, (Instance(INSIDE, "a cat"), Instance(box, "a dog")))


@pytest.mark.parametrize("strength", [math.nan, math.inf])
def test_strength_is_finite(strength: float) -> None:
    with pytest.raises(LayoutError, match=f"Box 1 has strength {strength}"):
        Layout(64, 64, (Instance(INSIDE, "a cat", strength),))
