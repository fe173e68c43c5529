"""Boxes from a link: BOUNDING_BOX values, box elements, bare numbers, SEGS. Standard library only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ..layout import LayoutError
from .draft import Draft, Frame
from .entries import draft_of
from .fields import four_numbers, kind_of
from .units import Canvas, to_fractions

MAX_LINKED = 1000  # boxes; a detector that finds more is set too low
SCORED = 5  # numbers of a box with its score behind


class Linked(NamedTuple):
    """Drafts of linked boxes in fractions of the canvas, and notices about what was changed on the way."""

    drafts: list[Draft]
    notices: list[str]


def read_linked(value: Any, bbox_format: str, canvas: Canvas) -> Linked:
    """Read the boxes of a link.

    value: one box, a list of boxes, a list with one frame of boxes, or SEGS. A box is an object, four
    numbers, or four
        numbers and a score; numbers are pixels.
    bbox_format: meaning of bare numbers: "xywh" (left, top, width, height) or "xyxy" (left, top, right,
    bottom).
    canvas: of the layout, in pixels.

    Boxes are clipped to the canvas; boxes outside of it are dropped with a notice. Raises LayoutError.
    """
    frame = Frame(canvas)
    if _is_segs(value):
        (height, width), segments = value
        frame = Frame(Canvas(float(width), float(height)))
        value = [_segment_box(segment) for segment in segments[: MAX_LINKED + 1]]
    entries = _entries(value)
    if len(entries) > MAX_LINKED:
        raise LayoutError(
            f"{len(entries)} boxes are linked; at most {MAX_LINKED} are read. Raise the detector's threshold."
        )
    notices: list[str] = []
    if not entries:
        notices.append(
            "The linked boxes are empty: the detector found nothing, so the layout has no instances."
        )
    if _is_ambiguous(entries, canvas):
        notices.append(
            f"The linked numbers fit both xywh and xyxy; they were read as {bbox_format} (see bbox_format)."
        )
    drafts, dropped = [], []
    for number, entry in enumerate(entries, 1):
        draft = draft_of(_as_object(entry, number, bbox_format), number, frame)
        inside = _clipped(draft)
        if inside is None:
            dropped.append(str(number))
        else:
            drafts.append(inside)
    if dropped:
        notices.append(f"Linked boxes outside of the canvas were dropped: box {', '.join(dropped)}.")
    return Linked(drafts, notices)


def _entries(value: Any) -> list:
    """The boxes of the one frame in a linked value."""
    value = _plain(value)
    if isinstance(value, (dict, str)):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise LayoutError(f"The linked boxes are {kind_of(value)}; expected a list of boxes.")
    if _is_numbers(value):
        return [value]
    parts = [_plain(part) for part in value[: MAX_LINKED + 1]]
    if parts and all(isinstance(part, (list, tuple)) and not _is_numbers(part) for part in parts):
        if len(value) > 1:
            raise LayoutError(
                f"{len(value)} frames of boxes are linked; a layout is one picture. Pick one "
                "frame before this node."
            )
        return [_plain(part) for part in parts[0][: MAX_LINKED + 1]]
    return parts


def _plain(value: Any) -> Any:
    """numpy arrays, torch tensors and their scalars as Python values."""
    return value.tolist() if hasattr(value, "tolist") else value


def _is_numbers(value: Any) -> bool:
    """Whether a value is a box of bare numbers, perhaps with a score."""
    if not isinstance(value, (list, tuple)) or len(value) not in (4, SCORED):
        return False
    return all(isinstance(_plain(part), (int, float)) for part in value)


def _as_object(entry: Any, number: int, bbox_format: str) -> Any:
    """A box of bare numbers (pixels) as a BOUNDING_BOX entry; other entries are returned unchanged."""
    if not _is_numbers(entry):
        return entry
    numbers = [_plain(part) for part in entry[:4]]
    x, y, width, height = four_numbers(numbers, f"Linked box {number} must be four numbers, {bbox_format}")
    if bbox_format == "xyxy":
        width, height = width - x, height - y
    if width <= 0 or height <= 0:
        listed = ", ".join(f"{part:g}" for part in numbers)
        raise LayoutError(
            f"Linked box {number} ({listed}) has no area when read as {bbox_format}. Set "
            "bbox_format to what the node "
            "before gives: xywh (left, top, width, height) or xyxy (left, top, right, bottom)."
        )
    return {"x": x, "y": y, "width": width, "height": height}


def _is_ambiguous(entries: list, canvas: Canvas) -> bool:
    """Whether all boxes are bare numbers that are boxes inside the canvas in both orders."""
    return bool(entries) and all(
        _is_numbers(entry)
        and 0 <= entry[0] < entry[2]
        and 0 <= entry[1] < entry[3]
        and entry[0] + entry[2] <= canvas.width
        and entry[1] + entry[3] <= canvas.height
        for entry in entries
    )


def _clipped(draft: Draft) -> Draft | None:
    """A draft in fractions, clipped to the canvas; None if it lies outside. Inverted boxes fail later."""
    if draft.corners is None:
        return draft
    x0, y0, x1, y1 = to_fractions(draft.corners, draft.unit, draft.pixels)
    if x1 <= x0 or y1 <= y0:
        return draft
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return None
    return replace(draft, corners=inside, unit="fractions")


def _is_segs(value: Any) -> bool:
    """Whether a value is SEGS of the Impact Pack: ((height, width), [SEG(.., bbox, label, ..)])."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], (tuple, list))
        and len(value[0]) == 2
        and isinstance(value[1], (tuple, list))
        and all(hasattr(segment, "bbox") for segment in value[1])
    )


def _segment_box(segment: Any) -> dict[str, Any]:
    """A BOUNDING_BOX entry of a SEG, whose bbox is x0, y0, x1, y1 in pixels."""
    x0, y0, x1, y1 = (float(part) for part in segment.bbox)
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "label": getattr(segment, "label", "")}
