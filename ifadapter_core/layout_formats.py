"""Layouts from and to JSON, in every supported format. Standard library only.

To add a format, write its reader in ``formats`` and add it to ``FORMATS``. ``web/layout_formats.js`` is
the twin.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .formats import prose
from .formats.annotations import CREATILAYOUT, FLORENCE, GLIGEN, INSTANCE_DIFFUSION, RELEASE, ROBOFLOW
from .formats.comfyui import BOX_LIST, ELEMENT_PROMPT, is_box
from .formats.draft import Draft, Frame, Reading, checked_units, stated_units
from .formats.exports import refuse_exports, refuse_xml
from .formats.fields import WHITE, check_count, keys_of, kind_of, shown
from .formats.ignored import ignored_notice, refuse_anchor, refuse_other_sizes, states_size
from .formats.json_parser import JsonTextError
from .formats.json_text import JsonText, read_json_text
from .formats.misspelt import misspelt_notice
from .formats.own import OWN, to_json
from .formats.units import UNITS, Canvas, canvas_of, stretch_notice
from .layout import Layout, LayoutError
from .links import texts
from .links.boxes import Linked, inside, linked_json, linked_layout, linked_masks, read_linked
from .links.values import frames_of

__all__ = [
    "FORMATS",
    "UNITS",
    "LayoutReading",
    "Linked",
    "frames_of",
    "from_json",
    "linked_layout",
    "linked_masks",
    "read_layout",
    "read_linked",
    "shown_boxes",
    "to_json",
]

# Formats of a whole layout; the first that matches is used.
WHOLE = (GLIGEN, OWN, RELEASE, INSTANCE_DIFFUSION, FLORENCE, CREATILAYOUT, ROBOFLOW, ELEMENT_PROMPT)
FORMATS = (*WHOLE, BOX_LIST)
# Keys of lists of boxes, each of one format.
BOX_LISTS = (
    "boxes",
    "annotations",
    "annos",
    "bboxes",
    "region_bboxes_list",
    "predictions",
    "compositional_deconstruction",
    "elements",
)
EXPECTED = "; ".join(each.example for each in FORMATS)
MAX_WRAPPERS = 4  # objects around a layout
TASK = re.compile("<[A-Z_]+>")  # Florence-2 puts its answer under the name of the task


class LayoutReading(NamedTuple):
    """A layout, and notices about everything that was repaired, clipped or dropped while reading it."""

    layout: Layout
    notices: tuple[str, ...]


def from_json(
    text: str, width: int, height: int, boxes: Any = None, units: str | None = None, bbox_format: str = "xywh"
) -> Layout:
    """Read a layout for a canvas of ``width`` x ``height`` pixels; log what was repaired.

    text: JSON in any of ``FORMATS``, also with text around it (see ``formats/json_text.py``), or empty.
    boxes: the value of a link, see ``read_linked``; replaces the boxes of ``text``. A box without a
        description takes the one at the same position of ``text``, which then may also be a list of
        strings.
    units: of the numbers in ``text``, if it states none: fractions, pixels, percent or thousandths;
        None = as its format says.
    bbox_format: of bare numbers in ``boxes``, "xywh" or "xyxy".

    Raises LayoutError for everything that is not a layout.
    """
    linked = None if boxes is None else read_linked(boxes, width, height, bbox_format)
    layout, notices = read_layout(text, width, height, linked, units)
    for notice in notices:
        logging.getLogger(__name__).warning("IFAdapter: %s", notice)
    return layout


def read_layout(
    text: str,
    width: int,
    height: int,
    linked: Linked | None = None,
    units: str | None = None,
    linked_text: str | None = None,
) -> LayoutReading:
    """As ``from_json``, but returns the notices instead of logging them.

    linked_text: the text of a link, read in place of ``text`` unless an editor has taken ``text`` over from
        it (see ``links/texts.py``); None without a link. Errors in it begin with the input's name.
    """
    if not texts.counts(linked_text, text):
        return _read_text(text, width, height, linked, units)
    try:
        layout, notices = _read_text(linked_text, width, height, linked, units)
    except LayoutError as error:
        raise LayoutError(f"{texts.INPUT}: {error}") from None
    if linked is not None:
        both = f"The boxes come from the linked {linked.kind}; {texts.INPUT} gives captions only."
        notices = (*notices, both)
    return LayoutReading(layout, notices)


def _read_text(text: Any, width: int, height: int, linked: Linked | None, units: str | None) -> LayoutReading:
    """The layout in a text, with the boxes of a link in place of its own."""
    canvas = canvas_of(width, height)
    checked_units(units, "The node's units")
    data, repairs, around = _parse(text)
    refuse_exports(data)
    data = _unwrapped(data)
    notices = [f"The layout text was not plain JSON. Repaired: {', '.join(repairs)}."] if repairs else []
    misspelt = misspelt_notice(data)
    notices += misspelt
    try:
        caption, drafts = _read(data, canvas, units, around, notices)
        if linked is None:
            notices += _stretch_notices(data, drafts, canvas)
        else:
            drafts, choice = _described(linked, drafts)
            drafts, changes = inside(drafts, canvas)
            notices += [*linked.notices, *choice, *changes]
        check_count(len(drafts))
        instances = [draft.instance(canvas) for draft in drafts]
    except LayoutError as error:  # a misspelt key may be its cause
        raise LayoutError(" ".join((str(error), *misspelt))) from None
    shown = tuple(instance for instance in instances if instance is not None)
    return LayoutReading(Layout(width, height, shown, caption), tuple(notices))


def shown_boxes(linked: Linked, width: int, height: int) -> str:
    """Linked boxes as JSON for the editor: those inside the canvas, clipped to it."""
    drafts, _ = inside(linked.drafts, canvas_of(width, height))
    return linked_json(drafts)


def _parse(text: str) -> JsonText:
    """JSON text -> parsed JSON; empty text is an empty list."""
    if isinstance(text, (dict, list)):
        raise LayoutError(
            f"The layout must be JSON text, got {kind_of(text)}. Send it as text: wrap it in json.dumps or "
            "JSON.stringify."
        )
    if not isinstance(text, str):
        raise LayoutError(f"The layout must be JSON text, got {kind_of(text)}.")
    if not text.strip(WHITE):
        return JsonText([])
    refuse_xml(text)
    try:
        return read_json_text(text)
    except JsonTextError as error:
        raise LayoutError(f"The layout cannot be read as JSON: {error}. Expected {OWN.example}.") from None


def _read(data: Any, canvas: Canvas, units: str | None, around: str, notices: list[str]) -> Reading:
    """Caption and drafts of parsed JSON in any format. around: text beside the JSON; adds to ``notices``."""
    units = stated_units(data) or units
    notices += prose.notices_about(around, units)
    _refuse_two_formats(data)
    for layout_format in FORMATS:
        if layout_format.matches(data):
            break
    else:
        raise LayoutError(
            f"The layout is {kind_of(data)} of no known format.{_hint(data)} Expected one of: {EXPECTED}."
        )
    is_whole = isinstance(data, dict) and layout_format is not BOX_LIST
    if is_whole:
        refuse_anchor(data, "The layout")
    caption, drafts = layout_format.read(data, Frame(canvas, units))
    if is_whole:
        refuse_other_sizes(data, [draft.unit for draft in drafts])
    notices += ignored_notice(data if is_whole else None, ((draft.number, draft.ignored) for draft in drafts))
    return caption, drafts


def _stretch_notices(data: Any, drafts: Sequence[Draft], canvas: Canvas) -> list[str]:
    """A notice if boxes are stretched, because the layout states a size of other proportions."""
    sizes = [draft.pixels for draft in drafts if draft.corners is not None]
    is_stated = isinstance(data, dict) and states_size(data)
    return stretch_notice(sizes[0], canvas) if sizes and is_stated else []


def _hint(data: Any, path: str = "", depth: int = 0) -> str:
    """Where in an object of no known format the layout seems to be, for an error message."""
    if not isinstance(data, dict) or depth == MAX_WRAPPERS:
        return ""
    for key in keys_of(data):
        value = data[key]
        here = f"{path}.{key}" if path else key
        if _holds_boxes(value) or (isinstance(value, str) and value.strip(WHITE)[:1] in ("{", "[")):
            return f" The layout seems to be under {shown(here)}: give that value alone."
        if hint := _hint(value, here, depth + 1):
            return hint
    return ""


def _refuse_two_formats(data: Any) -> None:
    """Raise LayoutError for an object with boxes under several keys."""
    if not isinstance(data, dict):
        return
    found = [key for key in BOX_LISTS if key in data]
    found += [key for key, value in data.items() if key not in BOX_LISTS and _holds_boxes(value)]
    if len(found) > 1 and any(key in BOX_LISTS for key in found):
        raise LayoutError(f"The layout has boxes under {' and '.join(found)}. Keep the boxes of one key.")


def _unwrapped(data: Any) -> Any:
    """The layout in a list of one whole layout, or in the answer of Florence-2 to one task."""
    if isinstance(data, dict) and len(data) == 1 and TASK.fullmatch(next(iter(data))):
        return next(iter(data.values()))
    if isinstance(data, list) and data and any(each.matches(data[0]) for each in WHOLE):
        if len(data) > 1:
            raise LayoutError(f"The text holds {len(data)} layouts; a layout is one picture. Keep one.")
        return data[0]
    return data


def _holds_boxes(value: Any) -> bool:
    """Whether a value is a list of boxes, or a layout of such a list."""
    if isinstance(value, list):
        return any(is_box(part) or (isinstance(part, dict) and "box" in part) for part in value)
    return isinstance(value, dict) and any(isinstance(value.get(key), list) for key in BOX_LISTS)


def _described(linked: Linked, written: Sequence[Draft]) -> tuple[list[Draft], list[str]]:
    """Linked boxes with their local descriptions, and a notice if there was a choice.

    Where as many are written as boxes are linked, the written ones win over the labels of the boxes.
    """
    boxes = linked.drafts
    written = [draft for draft in written if not draft.hidden]
    if not written:
        return boxes, []
    labels = ", ".join(box.description for box in boxes if box.description)
    if len(written) != len(boxes):
        if all(box.description for box in boxes):
            return boxes, [
                f"The labels of the {len(boxes)} linked {linked.kind} are their local descriptions "
                f"({labels}), since the layout text describes {len(written)}."
            ]
        as_list = (
            " Masks that come as a list, one for each run of this node, are joined to a batch by Convert "
            "Mask to Image, Rebatch Images and Convert Image to Mask."
            if linked.kind == "masks" and len(boxes) == 1
            else ""
        )
        raise LayoutError(
            f"{len(boxes)} {linked.kind} are linked but the layout text describes {len(written)} instances. "
            f"Write one local description for each of the linked {linked.kind}, in the same order.{as_list}"
        )
    described = [
        replace(
            box,
            description=text.description or box.description,
            strength=text.strength if box.strength == 1.0 else box.strength,
        )
        for box, text in zip(boxes, written, strict=True)
    ]
    if not any(
        box.description not in ("", text.description) for box, text in zip(boxes, written, strict=True)
    ):
        return described, []
    return described, [f"The layout's own local descriptions are used in place of the labels ({labels})."]
