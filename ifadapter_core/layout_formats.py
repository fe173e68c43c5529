"""Layouts from and to JSON, in every supported format. Standard library only.

To add a format, write its reader in ``formats`` and add it to ``FORMATS``; ``web/layout_formats.js`` is
the twin.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, NamedTuple

from .formats.annotations import CREATILAYOUT, FLORENCE, GLIGEN, INSTANCE_DIFFUSION, RELEASE, ROBOFLOW
from .formats.comfyui import BOX_LIST, ELEMENT_PROMPT
from .formats.draft import Draft, Frame, Reading, checked_units
from .formats.exports import refuse_exports, refuse_xml
from .formats.fields import kind_of
from .formats.json_parser import JsonTextError
from .formats.json_text import JsonText, read_json_text
from .formats.linked import Linked, read_linked
from .formats.own import OWN, to_json
from .formats.units import Canvas
from .layout import MAX_INSTANCES, Layout, LayoutError

__all__ = ["FORMATS", "LayoutReading", "from_json", "read_layout", "read_linked", "to_json"]

# The first format that matches is used.
FORMATS = (
    GLIGEN,
    OWN,
    RELEASE,
    INSTANCE_DIFFUSION,
    FLORENCE,
    CREATILAYOUT,
    ROBOFLOW,
    ELEMENT_PROMPT,
    BOX_LIST,
)
EXPECTED = "; ".join(each.example for each in FORMATS)


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
    description takes
        the one at the same position of ``text``, which then may also be a list of strings.
    units: of the numbers in ``text``: fractions, pixels, percent or thousandths; None = as the text or
    its format says.
    bbox_format: of bare numbers in ``boxes``, "xywh" or "xyxy".

    Raises LayoutError for everything that is not a layout.
    """
    linked = None if boxes is None else read_linked(boxes, bbox_format, _canvas(width, height))
    layout, notices = read_layout(text, width, height, linked, units)
    for notice in notices:
        logging.getLogger(__name__).warning("IFAdapter: %s", notice)
    return layout


def read_layout(
    text: str, width: int, height: int, linked: Linked | None = None, units: str | None = None
) -> LayoutReading:
    """As ``from_json``, but returns the notices instead of logging them."""
    canvas = _canvas(width, height)
    data, repairs = _parse(text)
    caption, drafts = _read(data, canvas, units)
    notices = [f"The layout text was not plain JSON. Repaired: {', '.join(repairs)}."] if repairs else []
    if linked is not None:
        drafts = _fill_descriptions(linked.drafts, drafts)
        notices += linked.notices
    if len(drafts) > MAX_INSTANCES:
        raise _too_many(len(drafts))
    instances = tuple(draft.instance(canvas) for draft in drafts)
    return LayoutReading(Layout(width, height, instances, caption), tuple(notices))


def _canvas(width: int, height: int) -> Canvas:
    if width < 1 or height < 1:
        raise LayoutError(
            f"The canvas is {width} x {height} pixels; give a width and a height of at least 1."
        )
    return Canvas(width, height)


def _parse(text: str) -> JsonText:
    """JSON text -> parsed JSON; empty text is an empty list."""
    if isinstance(text, (dict, list)):
        raise LayoutError(
            f"The layout must be JSON text, got {kind_of(text)}. Send it as text: wrap it in "
            "json.dumps or JSON.stringify."
        )
    if not isinstance(text, str):
        raise LayoutError(f"The layout must be JSON text, got {kind_of(text)}.")
    if not text.strip():
        return JsonText([])
    refuse_xml(text)
    try:
        return read_json_text(text)
    except JsonTextError as error:
        raise LayoutError(
            f"The layout cannot be read as JSON: {error}. Expected one of: {EXPECTED}."
        ) from None


def _read(data: Any, canvas: Canvas, units: str | None) -> Reading:
    """Caption and drafts of parsed JSON in any format."""
    refuse_exports(data)
    written = checked_units(data.get("units"), "units") if isinstance(data, dict) else None
    chosen = checked_units(units, "The node's units")
    if written and chosen and written != chosen:
        raise LayoutError(f"The layout says units {written}, the node says {chosen}. Change one of them.")
    for layout_format in FORMATS:
        if layout_format.matches(data):
            return layout_format.read(data, Frame(canvas, written or chosen))
    raise LayoutError(f"The layout is {kind_of(data)} of no known format. Expected one of: {EXPECTED}.")


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


def _too_many(count: int) -> LayoutError:
    return LayoutError(
        f"The layout has {count} instances; at most {MAX_INSTANCES} are supported. Remove some boxes."
    )
