"""Canvases of different shapes for pictures."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cropping.buckets import Canvas, bucket_canvases, nearest, sdxl_canvases

sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def test_at_1024_the_canvases_are_those_of_sdxl() -> None:
    """The nine of the layout editor among them."""
    canvases = sdxl_canvases(1024)
    assert len(canvases) == 41
    assert canvases[0] == (512, 2048)
    assert canvases[20] == (1024, 1024)
    for sides in [(1152, 896), (1216, 832), (1344, 768), (1536, 640), (1024, 1024)]:
        assert Canvas(*sides) in canvases
        assert Canvas(*reversed(sides)) in canvases


@pytest.mark.parametrize("size", [64, 128, 256, 512, 768, 1024, 1536, 2048])
def test_canvases_of_other_sizes_have_no_more_pixels_than_the_square(size: int) -> None:
    canvases = sdxl_canvases(size)
    assert Canvas(size, size) in canvases
    assert len(set(canvases)) == len(canvases)
    for canvas in canvases:
        assert canvas.width % 64 == canvas.height % 64 == 0
        assert canvas.width * canvas.height <= max(size * size, 64 * 128)
        assert Canvas(canvas.height, canvas.width) in canvases


@given(sizes, st.sampled_from([256, 512, 1024]))
@settings(max_examples=100, deadline=None)
def test_the_nearest_canvas_needs_the_smallest_cut(picture: tuple[int, int], size: int) -> None:
    """Of a picture scaled to cover the canvas, it keeps the largest share."""
    width, height = picture

    def kept(canvas: Canvas) -> float:
        scale = max(canvas.width / width, canvas.height / height)
        return canvas.width * canvas.height / (scale * width * scale * height)

    (best,) = nearest(sdxl_canvases(size), [(width, height)])
    assert kept(best) >= max(map(kept, sdxl_canvases(size))) - 1e-9


@given(st.lists(sizes, min_size=1, max_size=30), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_every_canvas_has_a_full_batch_of_pictures(found: list[tuple[int, int]], least: int) -> None:
    """Or there is one canvas only. Pictures of common shapes keep theirs."""
    canvases = sdxl_canvases(1024)
    got = bucket_canvases(found, canvases, least)
    counts = Counter(got)
    assert min(counts.values()) >= least or len(counts) == 1
    own = nearest(canvases, found)
    common = {canvas for canvas, count in Counter(own).items() if count >= least}
    assert all(now == before for now, before in zip(got, own, strict=True) if before in common)


@pytest.mark.parametrize(
    ("least", "widths"), [(1, [4, 3, 3, 2, 2, 1]), (2, [3, 3, 3, 2, 2, 2]), (4, [3, 3, 3, 3, 3, 3])]
)
def test_rare_shapes_join_one_after_the_other(least: int, widths: list[int]) -> None:
    """The rarest first. What has joined goes on with its neighbour."""
    canvases = [Canvas(64 * width, 64) for width in (1, 2, 3, 4)]
    sizes = [(400, 100), (300, 100), (300, 100), (200, 100), (200, 100), (100, 100)]
    assert bucket_canvases(sizes, canvases, least) == [Canvas(64 * width, 64) for width in widths]


def test_a_rare_shape_joins_its_neighbour() -> None:
    canvases = sdxl_canvases(1024)
    found = bucket_canvases([(1000, 1000)] * 4 + [(2000, 1000)] * 4 + [(1900, 1000)], canvases, 4)
    assert found == [Canvas(1024, 1024)] * 4 + [Canvas(1408, 704)] * 5
    assert math.isclose(found[-1].log_aspect, math.log(2))
