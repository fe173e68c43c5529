"""Windows around boxes: inside the picture, around the box, in the crop's proportions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.crops.windows import MAX_RATIO, SMALL_PX, SMALL_STEP_PX, STEP_PX, crop_window
from ifadapter_core.layout import Box

SIDES = st.integers(16, 4000)
EDGES = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    (x0, x1), (y0, y1) = draw(EDGES), draw(EDGES)
    return Box(x0, y0, x1, y1)


@given(boxes(), SIDES, SIDES, st.floats(0, 2), st.sampled_from([64, 128, 512, 1024, 1500]))
def test_a_window_is_inside_the_picture_and_around_its_box(
    box: Box, width: int, height: int, context: float, size: int
) -> None:
    window, crop = crop_window(box, width, height, context, size)
    x, y, across, down = window
    assert all(isinstance(value, int) for value in (*window, *crop))
    assert x >= 0
    assert y >= 0
    assert x + across <= width
    assert y + down <= height
    error = 1e-5  # pixels
    assert x <= box.x0 * width + error
    assert box.x1 * width <= x + across + error
    assert y <= box.y0 * height + error
    assert box.y1 * height <= y + down + error
    step = SMALL_STEP_PX if size < SMALL_PX else STEP_PX
    assert crop.width % step == crop.height % step == 0
    assert min(crop) >= step


@given(boxes(), SIDES, SIDES, st.floats(0, 2), st.sampled_from([128, 1024]))
def test_a_crop_is_stretched_only_where_the_picture_ends(
    box: Box, width: int, height: int, context: float, size: int
) -> None:
    window, crop = crop_window(box, width, height, context, size)
    if window.width == width or window.height == height:
        return
    # Whole pixels: each side is up to 2 larger than its exact length.
    assert (window.width - 2) * crop.height <= window.height * crop.width
    assert (window.height - 2) * crop.width <= window.width * crop.height
    step = SMALL_STEP_PX if size < SMALL_PX else STEP_PX
    assert max(crop) - step <= MAX_RATIO * (min(crop) + step)
    assert math.isclose(crop.width * crop.height, size * size, rel_tol=0.1)


def test_context_is_a_part_of_the_longer_side_on_each_side() -> None:
    # A box of 200 x 200 pixels with 50 more on each side.
    window, crop = crop_window(Box(0.4, 0.4, 0.6, 0.6), 1000, 1000, 0.25, 1024)
    assert (window, crop) == ((350, 350, 300, 300), (1024, 1024))


def test_no_context_is_the_box_itself() -> None:
    window, crop = crop_window(Box(0.25, 0.25, 0.75, 0.5), 256, 256, 0, 128)
    assert crop == (184, 88)  # about 2 : 1, and about 128 x 128 pixels
    assert window == (61, 64, 134, 64)  # in the crop's proportions


def test_a_narrow_box_gets_more_context_on_its_long_sides() -> None:
    window, crop = crop_window(Box(0.5, 0.1, 0.52, 0.9), 1000, 1000, 0, 1024)
    assert crop == (704, 1472)
    assert window == (310, 81, 400, 838)


def test_a_window_at_the_edge_is_shifted_into_the_picture() -> None:
    inner, _ = crop_window(Box(0.4, 0.4, 0.6, 0.6), 1000, 1000, 0.25, 1024)
    corner, _ = crop_window(Box(0.8, 0.0, 1.0, 0.2), 1000, 1000, 0.25, 1024)
    assert corner == (700, 0, inner.width, inner.height)


def test_the_whole_picture_is_the_largest_window() -> None:
    assert crop_window(Box(0, 0, 1, 1), 640, 480, 0.5, 512)[0] == (0, 0, 640, 480)
