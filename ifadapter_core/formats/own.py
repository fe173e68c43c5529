"""This pack's own format: fractions of the canvas, a strength per box. Standard library only."""

from __future__ import annotations

import json

from ..layout import Layout, LayoutError
from .draft import Frame, LayoutFormat, Reading, has_keys
from .entries import draft_of
from .fields import caption_of, kind_of, list_of

VERSION = 1


def to_json(layout: Layout, *, with_size: bool = False) -> str:
    """JSON text in this pack's own format. ``from_json`` restores the layout.

    with_size: state the size of the canvas, so that reading the text for other proportions gives a notice.
    """
    size = {"width": layout.width, "height": layout.height} if with_size else {}
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
    data = {"version": VERSION, **size, "caption": layout.caption, "boxes": boxes}
    return json.dumps(data, ensure_ascii=False)


def read(data: dict, frame: Frame) -> Reading:
    """This pack's format."""
    version = data.get("version")
    if version is not None and (isinstance(version, bool) or version != VERSION):
        raise LayoutError(
            f"The layout's format version must be {VERSION}, got {kind_of(version)}. "
            "Update ComfyUI-IFAdapter."
        )
    frame = frame.resized(data)
    entries = list_of(data["boxes"], "boxes")
    drafts = [draft_of(entry, number, frame, unit="fractions") for number, entry in enumerate(entries, 1)]
    return caption_of(data), drafts


OWN = LayoutFormat(
    'this pack\'s format {"caption": .., "boxes": [{"x", "y", "w", "h", "caption"}]}: fractions',
    lambda data: has_keys(data, "boxes"),
    read,
)
