"""A layout in a window of its picture. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ..layout import Box, Layout
from .place import Place

SAME_RATIO = 0.05  # proportions that differ by less are the same
MIN_PX = 0.5  # an instance with less of it inside a window, in pixels of the picture, is outside


class Remapped(NamedTuple):
    """A layout in a window.

    layout: boxes as fractions of the window, cut at its edges.
    kept: index in the whole layout of each of its instances.
    left_out: indices in the whole layout of the instances outside of the window.
    """

    layout: Layout
    kept: tuple[int, ...]
    left_out: tuple[int, ...]


def remap(layout: Layout, place: Place, width: int, height: int) -> Remapped:
    """The part of a layout in the window of a place, as the layout of a crop of width x height pixels.

    Descriptions, strengths, depth order and the global caption stay as they are.
    """
    boxes = [_in_window(box, place) for box in layout.boxes]
    kept = tuple(index for index, box in enumerate(boxes) if box is not None)
    instances = tuple(
        replace(instance, box=box)
        for instance, box in zip(layout.instances, boxes, strict=True)
        if box is not None
    )
    left_out = tuple(index for index, box in enumerate(boxes) if box is None)
    return Remapped(Layout(width, height, instances, layout.caption), kept, left_out)


def stretch_notice(layout: Layout, width: int, height: int, picture: str = "the picture") -> list[str]:
    """A notice if a picture of this size in pixels has other proportions than its layout."""
    ratio = layout.width * height / (layout.height * width)
    if 1 - SAME_RATIO <= ratio <= 1 + SAME_RATIO:
        return []
    return [
        f"The layout is of {layout.width} x {layout.height} pixels and {picture} of {width} x {height}: the "
        "boxes were stretched to the picture."
    ]


def numbers_of(indices: Sequence[int]) -> str:
    """Indices as numbers of instances for a notice: "instance 1", "instances 1, 3"."""
    return f"instance{'s' if len(indices) > 1 else ''} {', '.join(str(index + 1) for index in indices)}"


def _in_window(box: Box, place: Place) -> Box | None:
    """A box as fractions of the window, cut at its edges; None if it is outside."""
    x, y, width, height = place.window
    x0, x1 = _cut(box.x0 * place.picture_width - x, box.x1 * place.picture_width - x, width)
    y0, y1 = _cut(box.y0 * place.picture_height - y, box.y1 * place.picture_height - y, height)
    if x1 - x0 < MIN_PX or y1 - y0 < MIN_PX:
        return None
    return Box(x0 / width, y0 / height, x1 / width, y1 / height)


def _cut(start: float, stop: float, length: int) -> tuple[float, float]:
    return min(max(start, 0.0), length), min(max(stop, 0.0), length)
