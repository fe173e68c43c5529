"""This pack's own format: fractions of the canvas, a strength per box. Standard library only."""

from __future__ import annotations

import json

from ..layout import Layout, LayoutError
from .draft import Draft, LayoutFormat, Reading, has_key
from .fields import corners_of, description_of, entry_of, list_of, number_of, text_of

VERSION = 1


def to_json(layout: Layout) -> str:
    """JSON text in this pack's own format. ``from_json`` restores the layout."""
    boxes = [
        {
            "x": instance.box.x0,
            "y": instance.box.y0,
            "w": instance.box.x1 - instance.box.x0,
            "h": instance.box.y1 - instance.box.y0,
            "caption": instance.local_description,
            "strength": instance.strength,
        }
        for instance in layout.instances
    ]
    return json.dumps({"version": VERSION, "caption": layout.caption, "boxes": boxes}, ensure_ascii=False)


def read(data: dict, width: int, height: int) -> Reading:
    """This pack's format. Hidden boxes are skipped, but counted in the numbers that errors give."""
    version = data.get("version", VERSION)
    if version != VERSION:
        raise LayoutError(
            f"The layout has format version {version!r}; this pack reads version {VERSION}. "
            "Update ComfyUI-IFAdapter."
        )
    values = list_of(data["boxes"], "boxes")
    entries = [entry_of(value, number) for number, value in enumerate(values, 1)]
    caption = text_of(data.get("caption", ""), "caption")
    drafts = []
    for number, entry in enumerate(entries, 1):
        if entry.get("hidden", False):
            continue
        has_box = any(key in entry for key in "xywh")
        corners = corners_of(entry, ("x", "y", "w", "h"), number) if has_box else None
        description = description_of(entry, ("caption",), number)
        strength = number_of(entry.get("strength", 1.0), f"Box {number}: strength")
        drafts.append(Draft(number, corners, description, strength))
    return caption, drafts


OWN = LayoutFormat(
    'our own format {"caption": ..., "boxes": [{"x", "y", "w", "h", "caption"}]} '
    "with fractions of the canvas",
    lambda data: has_key(data, "boxes") and not has_key(data, "annotations"),
    read,
)
