"""Layouts from and to JSON, in every supported format. Standard library only.

To add a format, write a module with its reader in ``formats`` and add it to ``FORMATS``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .formats.comfyui import COMFYUI, first_frame, named_boxes
from .formats.draft import Draft, Reading
from .formats.fields import kind_of
from .formats.own import OWN, to_json
from .formats.release import RELEASE
from .layout import MAX_INSTANCES, Box, Instance, Layout, LayoutError

__all__ = ["FORMATS", "from_json", "named_boxes", "to_json"]

ROUNDING = 1e-3  # boxes that exceed the canvas by up to this fraction are clipped (rounded input)
FORMATS = (OWN, RELEASE, COMFYUI)  # the first that matches is used
EXPECTED = ", ".join(each.description for each in FORMATS)


def from_json(text: str, width: int, height: int, boxes: Any = None) -> Layout:
    """Read a layout for a canvas of ``width`` x ``height`` pixels.

    text: JSON in any of ``FORMATS``, or empty.
    boxes: a BOUNDING_BOX value or a list of box elements (parsed JSON, not text); replaces the
        boxes of ``text``. A box without a description takes the one at the same position of
        ``text``, which then may also be a plain list of strings.

    Raises LayoutError for everything that is not a layout.
    """
    if width < 1 or height < 1:
        raise LayoutError(
            f"The canvas is {width} x {height} pixels; give a width and a height of at least 1."
        )
    caption, drafts = _read(_parse(text), width, height)
    if boxes is not None:
        _, linked = _read(first_frame(boxes), width, height)
        drafts = _fill_descriptions(linked, drafts)
    if len(drafts) > MAX_INSTANCES:
        raise LayoutError(
            f"The layout has {len(drafts)} instances; at most {MAX_INSTANCES} are supported. "
            "Remove some boxes."
        )
    return Layout(width, height, tuple(map(_finish, drafts)), caption)


def _parse(text: str) -> Any:
    """JSON text -> parsed JSON; empty text is an empty list."""
    if not isinstance(text, str):
        raise LayoutError(f"The layout must be JSON text, got {kind_of(text)}.")
    if not text.strip():
        return []
    try:
        return json.loads(text)
    except RecursionError:
        raise LayoutError("The layout is not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:  # JSONDecodeError, or an integer with too many digits
        raise LayoutError(f"The layout is not JSON: {error}. Expected {EXPECTED}.") from None


def _read(data: Any, width: int, height: int) -> Reading:
    """Caption and drafts of parsed JSON in any format."""
    for layout_format in FORMATS:
        if layout_format.matches(data):
            return layout_format.read(data, width, height)
    raise LayoutError(f"The layout is {kind_of(data)} of no known format. Expected {EXPECTED}.")


def _fill_descriptions(linked: list[Draft], written: list[Draft]) -> list[Draft]:
    """Linked boxes, with missing descriptions taken from the written layout."""
    if not written or (linked and all(box.description for box in linked)):
        return linked
    if len(written) != len(linked):
        raise LayoutError(
            f"{len(linked)} boxes are linked but the layout text describes {len(written)} instances. "
            "Write one local description for each linked box, in the same order."
        )
    return [
        replace(box, description=box.description or text.description, strength=text.strength)
        for box, text in zip(linked, written, strict=True)
    ]


def _finish(draft: Draft) -> Instance:
    """Check a draft and turn it into an instance."""
    number = draft.number
    if draft.corners is None:
        raise LayoutError(
            f"Box {number} has a local description but no box. Give it x, y, w and h, or link boxes."
        )
    if not draft.description:
        raise LayoutError(
            f"Box {number} has no local description. Write what should appear in it, or delete the box."
        )
    x0, y0, x1, y1 = draft.corners
    if min(x0, y0) < -ROUNDING or max(x1, y1) > 1 + ROUNDING:
        raise LayoutError(
            f"Box {number} lies outside the canvas: it spans {x0:g}..{x1:g} across and "
            f"{y0:g}..{y1:g} down, where the canvas is 0..1. Move or shrink it; if its numbers are pixels, "
            "check the format and the canvas size (for bare numbers, bbox_format)."
        )
    box = Box(max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
    if box.x1 <= box.x0 or box.y1 <= box.y0:
        raise LayoutError(
            f"Box {number} has no area: width {x1 - x0:g}, height {y1 - y0:g} of the canvas. "
            "Both must be greater than 0."
        )
    return Instance(box, draft.description, draft.strength)
