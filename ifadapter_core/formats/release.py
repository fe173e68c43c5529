"""The format of the release's demo: pixels of a square canvas. Standard library only."""

from __future__ import annotations

from ..layout import LayoutError
from .draft import Draft, LayoutFormat, Reading, has_key
from .fields import description_of, entry_of, four_numbers, list_of, number_of, text_of

RELEASE_CANVAS_PX = 768  # side of the canvas, if the layout does not give its own


def read(data: dict, width: int, height: int) -> Reading:
    """The release's format, in pixels of its own canvas."""
    canvas_width = number_of(data.get("width", RELEASE_CANVAS_PX), "width")
    canvas_height = number_of(data.get("height", RELEASE_CANVAS_PX), "height")
    if min(canvas_width, canvas_height) < 1:
        raise LayoutError(
            f"The layout's own canvas is {canvas_width:g} x {canvas_height:g} pixels; "
            "expected at least 1 x 1."
        )
    caption = text_of(data.get("caption", ""), "caption")
    drafts = []
    for number, value in enumerate(list_of(data["annotations"], "annotations"), 1):
        entry = entry_of(value, number)
        expected = f"Box {number}: 'box' must be [x, y, w, h] in pixels"
        x, y, w, h = four_numbers(entry.get("box"), expected)
        alternatives = entry.get("caption")
        if isinstance(alternatives, list) and alternatives:  # the release reads the first
            entry = {**entry, "caption": alternatives[0]}
        corners = (x / canvas_width, y / canvas_height, (x + w) / canvas_width, (y + h) / canvas_height)
        drafts.append(Draft(number, corners, description_of(entry, ("caption",), number)))
    return caption, drafts


RELEASE = LayoutFormat(
    'the release\'s format {"caption": ..., "annotations": [{"box": [x, y, w, h], "caption"}]} '
    f"with pixels of a {RELEASE_CANVAS_PX} x {RELEASE_CANVAS_PX} canvas",
    lambda data: has_key(data, "annotations"),
    read,
)
