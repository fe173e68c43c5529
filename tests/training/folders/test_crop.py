"""Cropping a layout to the shape of a canvas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifadapter_core.layout import Box, Instance, Layout
from training.cropping.buckets import Canvas
from training.cropping.crop import Crop, Window, crop

SQUARE = Canvas(64, 64)
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
canvases = st.sampled_from([SQUARE, Canvas(128, 64), Canvas(64, 128), Canvas(192, 128)])
seeds = st.one_of(st.none(), st.integers(0, 1000))


def cropped(layout: Layout, canvas: Canvas, seed: int | None, whole_boxes: bool = False) -> Crop:
    randomness = None if seed is None else torch.Generator().manual_seed(seed)
    return crop(layout, canvas, randomness, whole_boxes)


def inside(layout: Layout, window: Window) -> dict[str, float]:
    """The share of each box that is in a window."""
    shares = {}
    left, top, right, bottom = window.corners
    for instance in layout.instances:
        x0, y0, x1, y1 = (
            edge * extent
            for edge, extent in zip(instance.box, (layout.width, layout.height) * 2, strict=True)
        )
        width = max(min(x1, right) - max(x0, left), 0)
        height = max(min(y1, bottom) - max(y0, top), 0)
        shares[instance.local_description] = width * height / ((x1 - x0) * (y1 - y0))
    return shares


@given(layouts, canvases, seeds, st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_crop_keeps_boxes_that_are_mostly_inside_and_at_least_one(
    layout: Layout, canvas: Canvas, seed: int | None, whole_boxes: bool
) -> None:
    window, cut, _ = cropped(layout, canvas, seed, whole_boxes)
    assert (cut.width, cut.height) == canvas
    assert cut.instances
    assert cut.caption == "all"
    shares = inside(layout, window)
    shown = cut.local_descriptions
    assert shown == sorted(shown)  # order = depth
    assert set(shown) >= {text for text, share in shares.items() if share > 0.5 + 1e-6}
    # Only the box that the crop was moved to.
    assert len([text for text in shown if shares[text] < 0.5 - 1e-6]) <= 1
    for instance in cut.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        before = layout.instances[int(instance.local_description)].box
        assert x1 - x0 <= (before.x1 - before.x0) * layout.width / window.width + 1e-6


@given(layouts, canvases, seeds)
@settings(max_examples=200, deadline=None)
def test_a_window_has_the_canvass_shape_and_cuts_one_side_only(
    layout: Layout, canvas: Canvas, seed: int | None
) -> None:
    window = cropped(layout, canvas, seed).window
    left, top, right, bottom = window.corners
    assert 0 <= left < right <= layout.width + 1e-6
    assert 0 <= top < bottom <= layout.height + 1e-6
    assert window.width / window.height == pytest.approx(canvas.width / canvas.height)
    assert window.width == layout.width or window.height == layout.height


@given(layouts, canvases, seeds)
@settings(max_examples=300, deadline=None)
def test_all_boxes_are_whole_where_a_crop_can_have_them(
    layout: Layout, canvas: Canvas, seed: int | None
) -> None:
    """Windows start at whole pixels."""
    window, cut, _ = cropped(layout, canvas, seed, whole_boxes=True)
    possible = any(
        min(inside(layout, Window(x, y, window.width, window.height)).values()) > 1 - 1e-9
        for x in range(int(layout.width - window.width) + 1)
        for y in range(int(layout.height - window.height) + 1)
    )
    whole = min(inside(layout, window).values()) > 1 - 1e-6
    assert whole or not possible
    if whole:
        assert len(cut.instances) == len(layout.instances)


def test_every_whole_crop_can_be_chosen() -> None:
    """A square of 100 pixels at 60, 61, .. 65 has both boxes whole."""
    parts = (Instance(Box(65 / 300, 0, 0.3, 1), "left"), Instance(Box(0.4, 0, 160 / 300, 1), "right"))
    layout = Layout(300, 100, parts)
    found = {cropped(layout, SQUARE, seed, whole_boxes=True).window.x for seed in range(100)}
    assert found == set(range(60, 66))
    assert cropped(layout, SQUARE, None, whole_boxes=True).window.x == 62


@given(layouts, canvases, seeds)
@settings(max_examples=100, deadline=None)
def test_sdxl_is_told_the_crop_in_the_scaled_picture(
    layout: Layout, canvas: Canvas, seed: int | None
) -> None:
    """As in diffusers' training: the picture is scaled to cover the canvas, then cropped."""
    window, _, size = cropped(layout, canvas, seed)
    scale = max(canvas.width / layout.width, canvas.height / layout.height)
    assert size.original == (layout.height, layout.width)
    assert size.target == (canvas.height, canvas.width)
    assert size.crop == (round(window.y * scale), round(window.x * scale))
    assert size.crop[0] + canvas.height <= layout.height * scale + 1
    assert size.crop[1] + canvas.width <= layout.width * scale + 1


def test_a_square_starts_anywhere() -> None:
    """At the same pixels in every version, so that a run resumes with the same crops."""
    parts = tuple(Instance(Box(x / 300, 0.2, (x + 30) / 300, 0.7), "it") for x in range(0, 300, 30))
    layout = Layout(300, 100, parts)
    for seed in range(5):
        expected = int(torch.randint(201, (), generator=torch.Generator().manual_seed(seed)))
        assert cropped(layout, SQUARE, seed).window == (expected, 0, 100, 100)


def test_a_box_is_dropped_when_less_than_half_is_inside() -> None:
    """The central square of 300 x 100 pixels spans x = 100..200."""
    spans = [(60, 141), (60, 139), (151, 249), (92, 110), (0, 40)]
    layout = Layout(
        300, 100, tuple(Instance(Box(x0 / 300, 0.2, x1 / 300, 0.7), f"{x0}-{x1}") for x0, x1 in spans)
    )
    window, cut, _ = crop(layout, SQUARE)
    assert window == (100, 0, 100, 100)
    assert cut.local_descriptions == ["60-141", "151-249", "92-110"]
    assert cut.boxes[0] == pytest.approx((0, 0.2, 0.41, 0.7))
    assert cut.boxes[1] == pytest.approx((0.51, 0.2, 1, 0.7))


def test_a_crop_without_boxes_is_moved_to_a_box() -> None:
    layout = Layout(
        300, 100, (Instance(Box(0.0, 0.2, 0.2, 0.7), "left"), Instance(Box(0.9, 0.2, 1.0, 0.7), "right"))
    )
    assert crop(layout, SQUARE).layout.local_descriptions == ["left"]
    found = {tuple(cropped(layout, SQUARE, seed).layout.local_descriptions) for seed in range(40)}
    assert found == {("left",), ("right",)}


def test_a_box_larger_than_the_crop_is_cut() -> None:
    layout = Layout(500, 100, (Instance(Box(0.1, 0.2, 0.9, 0.7), "long"),))
    for whole_boxes in (False, True):
        window, cut, _ = crop(layout, SQUARE, whole_boxes=whole_boxes)
        assert window == (200, 0, 100, 100)
        assert cut.boxes == [Box(0.0, 0.2, 1.0, 0.7)]


@pytest.mark.parametrize(("caption", "expected"), [("", "left, middle"), ("a street", "a street")])
def test_the_caption_follows_the_kept_boxes_where_there_is_none(caption: str, expected: str) -> None:
    parts = [("left", 0.34, 0.5), ("middle", 0.5, 0.6), ("far right", 0.9, 1.0)]
    instances = tuple(Instance(Box(x0, 0.1, x1, 0.9), text) for text, x0, x1 in parts)
    layout = Layout(300, 100, (*instances, Instance(Box(0.0, 0.1, 0.1, 0.9), "far left")), caption)
    assert crop(layout, SQUARE, whole_boxes=True).layout.caption == expected
    assert crop(layout, SQUARE).layout.caption == caption
