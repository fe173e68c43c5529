"""Boxes from a link: BOUNDING_BOX values, box elements, bare numbers, SEGS, masks. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from ..formats.box_keys import xywh, xyxy
from ..formats.draft import Draft, Frame, stated_units
from ..formats.entries import draft_of
from ..formats.fields import Corners, check_count, kind_of, number_text
from ..formats.ignored import ignored_notice
from ..formats.misspelt import misspelt_notice
from ..formats.units import (
    MAX_FRACTION,
    WHOLE_PIXEL,
    Canvas,
    canvas_of,
    clipped,
    described,
    exceeds,
    size_problem,
    to_fractions,
)
from ..layout import Box, Instance, Layout, LayoutError
from .values import (
    SCORED,
    box_of_segment,
    checked_entry,
    counted,
    entries_of,
    is_row,
    is_segs,
    plain,
    size_of_segs,
)

MAX_NAMED = 10  # numbers of boxes in a notice
ORDERS = {"xywh": xywh, "xyxy": xyxy}
TOLERANCE = 0.05  # by which detections may exceed the canvas, as a fraction of it


class Linked(NamedTuple):
    """Boxes of a link.

    drafts: in fractions of the canvas, which they may exceed; boxes without area are among them.
    notices: how the value was read, where that is not obvious.
    kind: what is linked, for error messages.
    """

    drafts: list[Draft]
    notices: list[str]
    kind: str = "boxes"


def read_linked(value: Any, width: int, height: int, bbox_format: str = "xywh") -> Linked:
    """Read the boxes of a link, for a canvas of ``width`` x ``height`` pixels.

    value: one box, a list of boxes, a list with one frame of boxes, or SEGS. A box is an object, four
        numbers, or x0, y0, x1, y1 and a score; numbers are pixels, unless an object states its ``units``.
    bbox_format: meaning of four numbers: "xywh" (left, top, width, height) or "xyxy" (left, top, right,
        bottom).

    Raises LayoutError.
    """
    canvas = canvas_of(width, height)
    if bbox_format not in ORDERS:
        raise LayoutError(f"bbox_format must be xywh or xyxy, got {kind_of(bbox_format)}.")
    pixels = canvas
    if is_segs(value):
        pixels = size_of_segs(value[0])
        value = [box_of_segment(segment) for segment in counted(value[1])]
    entries = [checked_entry(entry, number) for number, entry in enumerate(entries_of(value), 1)]
    notices = _check_proportions(pixels, canvas)
    if not entries:
        notices.append("The linked boxes are empty: nothing was detected, so the layout has no instances.")
    rows = [entry for entry in entries if is_row(entry)]
    notices += _check_order([row for row in rows if len(row) < SCORED], bbox_format, canvas)
    if bbox_format != "xyxy" and any(len(row) == SCORED for row in rows):
        notices.append("Linked rows of five numbers were read as left, top, right, bottom and score.")
    drafts = [
        _draft(_box(entry, number, bbox_format), number, pixels) for number, entry in enumerate(entries, 1)
    ]
    _refuse_if_none_fits(drafts, canvas)
    notices += ignored_notice(None, ((draft.number, draft.ignored) for draft in drafts))
    notices += misspelt_notice(entries)
    return Linked([_in_fractions(draft) for draft in drafts], notices)


def linked_masks(boxes: Iterable[Corners]) -> Linked:
    """The boxes around masks, x0, y0, x1, y1 in fractions of the canvas."""
    whole = Canvas(1, 1)
    drafts = [Draft(number, corners, "", "fractions", whole) for number, corners in enumerate(boxes, 1)]
    empty = "The linked masks are empty: there is none, so the layout has no instances."
    return Linked(drafts, [] if drafts else [empty], "masks")


def inside(drafts: Sequence[Draft], canvas: Canvas) -> tuple[list[Draft], list[str]]:
    """The linked boxes that reach into the canvas, clipped to it, and notices about all others."""
    kept, cut, outside, flat = [], [], [], []
    for draft in drafts:
        corners = cast(Corners, draft.corners)
        box = clipped(corners)
        if not _has_area(corners, canvas):
            flat.append(draft.number)
        elif not _has_area(box, canvas):
            outside.append(draft.number)
        else:
            if exceeds(corners):
                cut.append(draft.number)
            kept.append(replace(draft, corners=(box.x0, box.y0, box.x1, box.y1)))
    notices = []
    if cut:
        notices.append(f"Linked boxes were cut at the edges of the canvas: {_numbers(cut)}.")
    if outside:
        notices.append(f"Linked boxes outside of the canvas were left out: {_numbers(outside)}.")
    if flat:
        notices.append(
            f"Linked boxes that are inverted or have a side under one pixel were left out: {_numbers(flat)}."
        )
    return kept, notices


def linked_layout(linked: Linked, width: int, height: int) -> tuple[Layout, list[str]]:
    """The boxes of a link as a layout, and notices. A box without a label has the description "".

    Raises LayoutError for more instances than a layout has.
    """
    drafts, changes = inside(linked.drafts, canvas_of(width, height))
    check_count(len(drafts))
    instances = tuple(
        Instance(Box(*cast(Corners, draft.corners)), draft.description, draft.strength) for draft in drafts
    )
    return Layout(width, height, instances), [*linked.notices, *changes]


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


def _has_area(corners: Corners, canvas: Canvas) -> bool:
    """Whether both sides have at least one pixel. corners: in fractions."""
    x0, y0, x1, y1 = corners
    return min((x1 - x0) * canvas.width, (y1 - y0) * canvas.height) >= WHOLE_PIXEL


def _check_proportions(picture: Canvas, canvas: Canvas) -> list[str]:
    """A notice if the picture that boxes were detected in has other proportions than the canvas."""
    ratio = picture.width * canvas.height / (picture.height * canvas.width)
    if 1 - TOLERANCE <= ratio <= 1 + TOLERANCE:
        return []
    sizes = [f"{number_text(size.width)} x {number_text(size.height)}" for size in (picture, canvas)]
    return [
        f"The linked SEGS belong to a picture of {sizes[0]} pixels, whose proportions are not those of the "
        f"layout ({sizes[1]}): their boxes were stretched."
    ]


def _check_order(rows: list, bbox_format: str, canvas: Canvas) -> list[str]:
    """A notice if four numbers fit in both orders. Raises LayoutError if they fit only in the other one.

    Rows that fit in neither order, such as a detection outside of the canvas, count for neither.
    """

    def fits(row: Any, order: str) -> bool:
        x0, y0, x1, y1 = to_fractions(ORDERS[order](row, "Linked box"), "pixels", canvas)
        return -TOLERANCE <= x0 <= x1 <= 1 + TOLERANCE and -TOLERANCE <= y0 <= y1 <= 1 + TOLERANCE

    other = next(order for order in ORDERS if order != bbox_format)
    rows = [row for row in rows if any(fits(row, order) for order in ORDERS)]
    if not rows or not all(fits(row, other) for row in rows):
        return []
    wrong = [row for row in rows if not fits(row, bbox_format)]
    if not wrong:
        return [f"The linked numbers fit xywh and xyxy. They were read as {bbox_format}, see bbox_format."]
    raise LayoutError(
        f"The linked boxes, such as {', '.join(map(number_text, wrong[0]))}, do not fit the canvas when read "
        f"as {bbox_format}, but do as {other}. Set bbox_format to {other}. xywh is left, top, width, height; "
        "xyxy is left, top, right, bottom."
    )


def _box(entry: Any, number: int, bbox_format: str) -> Any:
    """A box of bare numbers as a BOUNDING_BOX entry; values of other entries as Python values."""
    if isinstance(entry, dict):
        return {key: plain(part) for key, part in entry.items()}
    if not is_row(entry):
        return entry
    order = xyxy if len(entry) == SCORED else ORDERS[bbox_format]
    x0, y0, x1, y1 = order(entry[:4], f"Linked box {number}")
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}


def _draft(box: Any, number: int, pixels: Canvas) -> Draft:
    """The draft of a linked box, in its own unit."""
    draft = draft_of(box, number, Frame(pixels, stated_units(box)))
    if draft.corners is None:
        raise LayoutError(f"Linked box {number} has no position: {kind_of(box)}.")
    return draft


def _refuse_if_none_fits(drafts: Sequence[Draft], canvas: Canvas) -> None:
    """Raise LayoutError if no box has an area and not all are tiny detections: the numbers are misread."""
    for draft in drafts:
        corners = cast(Corners, draft.corners)
        if size_problem(corners, draft.unit, draft.pixels, canvas) is None:
            return
    for draft in drafts:
        x0, y0, x1, y1 = corners = cast(Corners, draft.corners)
        is_fraction = draft.unit == "pixels" and min(corners) >= 0 and max(corners) <= MAX_FRACTION
        if not is_fraction and x0 <= x1 and y0 <= y1:
            continue  # too small: left out later
        advice = (
            "They seem to be fractions: multiply them by the width and the height. " if is_fraction else ""
        )
        raise LayoutError(
            f"Linked box {draft.number} {size_problem(corners, draft.unit, draft.pixels, canvas)}: "
            f"{described(corners, draft.unit, draft.pixels)} {advice}Numbers of linked boxes are pixels of "
            "this node's width and height; of box elements, thousandths. Four plain numbers are read as "
            "bbox_format says."
        )


def _in_fractions(draft: Draft) -> Draft:
    corners = to_fractions(cast(Corners, draft.corners), draft.unit, draft.pixels)
    return replace(draft, corners=corners, unit="fractions")
