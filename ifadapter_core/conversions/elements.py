"""A layout as the elements of an Ideogram 4 prompt, in thousandths of the canvas."""

from __future__ import annotations

from typing import Any

from ..layout import Layout

GRID = 1000


def box_elements(layout: Layout) -> list[dict[str, Any]]:
    """``{"type": "obj", "bbox": [ymin, xmin, ymax, xmax], "desc"}`` of each box, from back to front.

    The numbers are whole thousandths of the canvas, as Ideogram 4 takes them; sides are at least one.
    A strength cannot be expressed.
    """
    elements = []
    for instance in layout.instances:
        x0, x1 = _thousandths(instance.box.x0, instance.box.x1)
        y0, y1 = _thousandths(instance.box.y0, instance.box.y1)
        elements.append({"type": "obj", "bbox": [y0, x0, y1, x1], "desc": instance.local_description})
    return elements


def _thousandths(start: float, end: float) -> tuple[int, int]:
    first = min(round(start * GRID), GRID - 1)
    return first, max(round(end * GRID), first + 1)
