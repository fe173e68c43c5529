"""A layout as boxes in pixels: the host's BOUNDING_BOX, and the bare numbers (BBOX) of other packs."""

from __future__ import annotations

from typing import Any

from ..layout import Instance, Layout

WHOLE = 1e-6  # pixels; numbers nearer to a whole number are whole, so that int() does not cut them down


def bounding_boxes(layout: Layout) -> list[dict[str, Any]]:
    """One frame of BOUNDING_BOX entries, from back to front.

    Each has x, y, width, height in pixels of the canvas (left, top, width, height; whole where possible),
    the local description as ``label`` and as ``metadata.desc``, where the host's box editor reads it, and
    ``strength`` if it is not 1. ``read_linked`` gives the same boxes back.
    """
    return [_entry(instance, layout.width, layout.height) for instance in layout.instances]


def box_numbers(layout: Layout) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each box in whole pixels of the canvas; sides are at least one pixel."""
    numbers = []
    for box in layout.boxes:
        x, right = _whole_pixels(box.x0, box.x1, layout.width)
        y, bottom = _whole_pixels(box.y0, box.y1, layout.height)
        numbers.append((x, y, right - x, bottom - y))
    return numbers


def _entry(instance: Instance, width: int, height: int) -> dict[str, Any]:
    box, words = instance.box, instance.local_description
    entry: dict[str, Any] = {
        "x": _number(box.x0 * width),
        "y": _number(box.y0 * height),
        "width": _number((box.x1 - box.x0) * width),
        "height": _number((box.y1 - box.y0) * height),
        "label": words,
        "metadata": {"type": "obj", "text": "", "desc": words, "palette": []},
    }
    return entry if instance.strength == 1 else {**entry, "strength": instance.strength}


def _number(pixels: float) -> int | float:
    return round(pixels) if abs(pixels - round(pixels)) < WHOLE else pixels


def _whole_pixels(start: float, end: float, size: int) -> tuple[int, int]:
    """Edges of a box along one side, rounded, with at least one pixel between them."""
    first = min(round(start * size), size - 1)
    return first, max(round(end * size), first + 1)
