"""Lists of boxes, as ComfyUI's nodes, detectors and language models write them. Standard library only."""

from __future__ import annotations

from ..layout import LayoutError
from .box_keys import BOX_KEYS, ELEMENT
from .draft import Frame, LayoutFormat, Reading, has_keys
from .entries import draft_of
from .fields import caption_of, kind_of, list_of, object_of


def read_list(data: list | dict, frame: Frame) -> Reading:
    """A list of boxes or of descriptions, or a single box."""
    entries = [data] if isinstance(data, dict) else list_of(data, "layout")
    if entries and all(_is_boxes(entry) for entry in entries):
        if len(entries) > 1:
            raise LayoutError(
                f"The layout is a list of {len(entries)} frames of boxes; a layout is one picture. "
                "Keep one frame."
            )
        entries = list_of(entries[0], "layout")
    if entries and all(isinstance(entry, list) for entry in entries):
        raise LayoutError(
            f"The layout is a list of bare numbers ({kind_of(entries[0])}), which does not say their order "
            'or describe the boxes. Write objects, such as {"bbox_2d": [x0, y0, x1, y1], "label": ".."}.'
        )
    return "", [draft_of(entry, number, frame) for number, entry in enumerate(entries, 1)]


def read_element_prompt(data: dict, frame: Frame) -> Reading:
    """A whole JSON prompt for Ideogram 4, which holds box elements."""
    frame = frame.resized(data)
    part = object_of(data["compositional_deconstruction"], "compositional_deconstruction")
    elements = list_of(part.get("elements"), "elements")
    drafts = [draft_of(entry, number, frame, (ELEMENT,)) for number, entry in enumerate(elements, 1)]
    return caption_of(data), drafts


def _is_boxes(value: object) -> bool:
    """Whether a value is a frame: a list of objects."""
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


def is_box(data: object) -> bool:
    """Whether a value is an object with a box, perhaps one that does not say its order."""
    return isinstance(data, dict) and ("bbox" in data or any(kind.matches(data) for kind in BOX_KEYS))


ELEMENT_PROMPT = LayoutFormat(
    '{"high_level_description", "compositional_deconstruction": {"elements": [..]}} (Ideogram 4)',
    lambda data: has_keys(data, "compositional_deconstruction"),
    read_element_prompt,
)
BOX_LIST = LayoutFormat(
    "a list of boxes, each one of " + "; ".join(kind.example for kind in BOX_KEYS),
    lambda data: isinstance(data, list) or is_box(data),
    read_list,
)
