"""Boxes from a link: BOUNDING_BOX values, box elements, bare numbers, SEGS, masks. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ..layout import LayoutError
from .box_keys import xywh, xyxy
from .draft import Draft, Frame
from .entries import draft_of
from .fields import Corners, kind_of, number_of
from .units import (
    WHOLE_PIXEL,
    Canvas,
    canvas_of,
    clipped,
    described,
    exceeds,
    problem_of,
    size_problem,
    to_fractions,
)

MAX_LINKED = 1000  # boxes; a detector that finds more is set too low
MAX_NAMED = 10  # numbers of boxes in a notice
SCORED = 5  # length of x0, y0, x1, y1, score
UNNAMED = "A"  # the Impact Pack's label of segments without one
ORDERS = {"xywh": xywh, "xyxy": xyxy}


class Linked(NamedTuple):
    """Boxes of a link.

    drafts: in fractions of the canvas, which they may exceed.
    notices: how the value was read, where that is not obvious.
    kind: what is linked, for error messages.
    """

    drafts: list[Draft]
    notices: list[str]
    kind: str = "boxes"


def read_linked(value: Any, width: int, height: int, bbox_format: str = "xywh") -> Linked:
    """Read the boxes of a link, for a canvas of ``width`` x ``height`` pixels.

    value: one box, a list of boxes, a list with one frame of boxes, or SEGS. A box is an object, four
        numbers, or x0, y0, x1, y1 and a score; numbers are pixels.
    bbox_format: meaning of four numbers: "xywh" (left, top, width, height) or "xyxy" (left, top, right,
        bottom).

    Raises LayoutError.
    """
    canvas = canvas_of(width, height)
    if bbox_format not in ORDERS:
        raise LayoutError(f"bbox_format must be xywh or xyxy, got {kind_of(bbox_format)}.")
    pixels = canvas
    if _is_segs(value):
        pixels = _size_of_segs(value[0])
        value = [_segment_box(segment) for segment in _counted(value[1])]
    entries = _entries(value)
    notices = []
    if not entries:
        notices.append("The linked boxes are empty: nothing was detected, so the layout has no instances.")
    if entries and all(_is_row(entry) for entry in entries):
        notices += _check_order([entry for entry in entries if len(entry) < SCORED], bbox_format, canvas)
        if bbox_format != "xyxy" and any(len(entry) == SCORED for entry in entries):
            notices.append("Linked rows of five numbers were read as left, top, right, bottom and score.")
    drafts = [
        _draft(_entry(entry, number, bbox_format), number, Frame(pixels), canvas)
        for number, entry in enumerate(entries, 1)
    ]
    return Linked(drafts, notices)


def linked_masks(boxes: Iterable[Corners]) -> Linked:
    """The boxes around masks, x0, y0, x1, y1 in fractions of the canvas."""
    whole = Canvas(1, 1)
    drafts = [Draft(number, corners, "", "fractions", whole) for number, corners in enumerate(boxes, 1)]
    empty = "The linked masks are empty: there is none, so the layout has no instances."
    return Linked(drafts, [] if drafts else [empty], "masks")


def inside(drafts: Sequence[Draft], canvas: Canvas) -> tuple[list[Draft], list[str]]:
    """The linked boxes that reach into the canvas, clipped to it, and notices about all others."""
    kept, cut, outside = [], [], []
    for draft in drafts:
        corners = cast(Corners, draft.corners)
        box = clipped(corners)
        if min((box.x1 - box.x0) * canvas.width, (box.y1 - box.y0) * canvas.height) < WHOLE_PIXEL:
            outside.append(draft.number)
            continue
        if exceeds(corners):
            cut.append(draft.number)
        kept.append(replace(draft, corners=(box.x0, box.y0, box.x1, box.y1)))
    notices = []
    if cut:
        notices.append(f"Linked boxes were cut at the edges of the canvas: {_numbers(cut)}.")
    if outside:
        notices.append(f"Linked boxes outside of the canvas were left out: {_numbers(outside)}.")
    return kept, notices


def linked_json(drafts: Iterable[Draft]) -> str:
    """Linked boxes inside the canvas as JSON in this pack's own format, for the editor."""
    boxes = []
    for draft in drafts:
        x0, y0, x1, y1 = cast(Corners, draft.corners)
        boxes.append({"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "caption": draft.description})
    return json.dumps({"boxes": boxes}, ensure_ascii=False)


def _numbers(numbers: list[int]) -> str:
    more = f" and {len(numbers) - MAX_NAMED} more" if len(numbers) > MAX_NAMED else ""
    return f"box {', '.join(map(str, numbers[:MAX_NAMED]))}{more}"


def _counted(value: Any) -> Any:
    """A list, counted before it is read."""
    if len(value) > MAX_LINKED:
        raise LayoutError(
            f"{len(value)} boxes are linked; at most {MAX_LINKED} are read. Raise the detector's threshold."
        )
    return value


def _entries(value: Any) -> Sequence[Any]:
    """The boxes of the one frame in a linked value."""
    if getattr(value, "ndim", 0):
        _counted(value)
    value = _plain(value)
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise LayoutError(f"The linked boxes are {kind_of(value)}; expected a list of boxes.")
    if _is_row(value):
        return [value]
    parts = [_plain(part) for part in _counted(value)]
    if parts and all(isinstance(part, (list, tuple)) and not _is_row(part) for part in parts):
        if len(parts) > 1:
            raise LayoutError(
                f"{len(parts)} frames of boxes are linked; a layout is one picture. Pick one frame before "
                "this node."
            )
        return [_plain(part) for part in _counted(parts[0])]
    return parts


def _plain(value: Any) -> Any:
    """numpy arrays, torch tensors and their scalars as Python values; a row of scalars as well."""
    if isinstance(value, (list, tuple)) and len(value) <= SCORED:
        return [_plain(part) if hasattr(part, "tolist") else part for part in value]
    if not hasattr(value, "tolist"):
        return value
    try:
        return value.tolist()
    except Exception as error:  # such as a tensor without data
        raise LayoutError(
            f"The linked boxes hold a {type(value).__name__} without values: {error}."
        ) from None


def _is_row(value: Any) -> bool:
    """Whether a value is a box of bare numbers, perhaps with a score."""
    if not isinstance(value, (list, tuple)) or len(value) not in (4, SCORED):
        return False
    return all(isinstance(part, (int, float)) for part in value)


def _check_order(rows: list, bbox_format: str, canvas: Canvas) -> list[str]:
    """A notice if four numbers fit in both orders. Raises LayoutError if they fit only in the other one."""

    def fit(order: str) -> bool:
        boxes = (ORDERS[order](row, f"Linked box {number}") for number, row in enumerate(rows, 1))
        return all(problem_of(box, "pixels", canvas, canvas) is None for box in boxes)

    other = next(order for order in ORDERS if order != bbox_format)
    if not rows or not fit(other):
        return []
    if fit(bbox_format):
        return [f"The linked numbers fit xywh and xyxy. They were read as {bbox_format}, see bbox_format."]
    listed = ", ".join(f"{part:g}" for part in rows[0])
    raise LayoutError(
        f"The linked boxes, such as {listed}, do not fit the canvas when read as {bbox_format}, but do as "
        f"{other}. Set bbox_format to {other}. xywh is left, top, width, height; xyxy is left, top, right, "
        "bottom."
    )


def _entry(entry: Any, number: int, bbox_format: str) -> Any:
    """A box of bare numbers as a BOUNDING_BOX entry; values of other entries as Python values."""
    if isinstance(entry, dict):
        return {key: _plain(part) for key, part in entry.items()}
    if not _is_row(entry):
        return entry
    order = xyxy if len(entry) == SCORED else ORDERS[bbox_format]
    x0, y0, x1, y1 = order(entry[:4], f"Linked box {number}")
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}


def _draft(entry: Any, number: int, frame: Frame, canvas: Canvas) -> Draft:
    """The draft of a linked box, in fractions of the canvas."""
    draft = draft_of(entry, number, frame)
    if draft.corners is None:
        raise LayoutError(f"Linked box {number} has no position: {kind_of(entry)}.")
    problem = size_problem(draft.corners, draft.unit, draft.pixels, canvas)
    if problem is not None:
        raise LayoutError(
            f"Linked box {number} {problem}: {described(draft.corners, draft.unit, draft.pixels)} Numbers of "
            "linked boxes are pixels of this node's width and height; of box elements, thousandths. Four "
            "plain numbers are read as bbox_format says."
        )
    return replace(draft, corners=to_fractions(draft.corners, draft.unit, draft.pixels), unit="fractions")


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


def _size_of_segs(size: Any) -> Canvas:
    """The picture that SEGS belong to. size: height and width in pixels."""
    height, width = (number_of(_plain(side), "The size of the linked SEGS") for side in size)
    return canvas_of(width, height)


def _segment_box(segment: Any) -> dict[str, Any]:
    """A BOUNDING_BOX entry of a SEG, whose bbox is x0, y0, x1, y1 in pixels."""
    x0, y0, x1, y1 = xyxy(_plain(segment.bbox), "The bbox of a linked SEG")
    label = getattr(segment, "label", None)
    return {
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
        "label": "" if label == UNNAMED else label,
    }
