"""Layouts from and to JSON, in every shape that is read. Standard library only."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .layout import MAX_INSTANCES, Box, Instance, Layout, LayoutError

FORMAT_VERSION = 1
RELEASE_CANVAS_PX = 768  # the release's JSON gives boxes in pixels of a square canvas of this size
ELEMENT_SCALE = 1000  # the host's box elements count the canvas in thousandths
ROUNDING = 1e-3  # a box may stand out of the canvas by this much (rounded input) and is cut; more is an error

FORMATS = (
    'our own format {"caption": ..., "boxes": [{"x", "y", "w", "h", "caption"}]} with fractions of the canvas, '
    'the release\'s format {"caption": ..., "annotations": [{"box": [x, y, w, h], "caption"}]} with pixels of a '
    f"{RELEASE_CANVAS_PX} x {RELEASE_CANVAS_PX} canvas, a list of BOUNDING_BOX entries "
    '{"x", "y", "width", "height"} with pixels of this canvas, or a list of box elements '
    '{"bbox": [ymin, xmin, ymax, xmax], "desc"} with thousandths of it'
)


def from_json(text: str, width: int, height: int, boxes: Any = None) -> Layout:
    """Read a layout for a canvas of ``width`` x ``height`` pixels.

    ``text`` is JSON in any of ``FORMATS``, or empty. ``boxes``, when given, is a BOUNDING_BOX value or a list of box
    elements (parsed, not JSON text) and takes the place of the boxes in ``text``; an entry of it without words of its
    own takes the local description at the same position of ``text``, which then may also be a plain list of strings.

    Raises LayoutError for everything that is not a layout.
    """
    if width < 1 or height < 1:
        raise LayoutError(
            f"The canvas is {width} x {height} pixels; give a width and a height of at least 1."
        )
    caption, drafts = _read(_parse(text), width, height)
    if boxes is not None:
        _, linked = _read(_first_frame(boxes), width, height)
        drafts = _fill_descriptions(linked, drafts)
    if len(drafts) > MAX_INSTANCES:
        raise LayoutError(
            f"The layout has {len(drafts)} instances; at most {MAX_INSTANCES} are supported. Remove some boxes."
        )
    return Layout(width, height, tuple(map(_finish, drafts)), caption)


def named_boxes(boxes: Any, bbox_format: str) -> Any:
    """Boxes from a link with every four bare numbers (pixels) made a BOUNDING_BOX entry; what has names stays as it is.

    bbox_format: what four bare numbers mean, "xywh" (left, top, width, height) or "xyxy" (left, top, right, bottom).

    Raises LayoutError when the numbers cannot be a box in this format.
    """
    try:
        return _named(boxes, bbox_format)
    except RecursionError:
        raise LayoutError("The linked boxes are nested too deeply.") from None


def _named(boxes: Any, bbox_format: str) -> Any:
    if hasattr(boxes, "tolist"):  # of numpy or torch, a single number too
        boxes = boxes.tolist()
    if not isinstance(boxes, (list, tuple)):
        return boxes
    parts = [_named(part, bbox_format) for part in boxes]
    if len(parts) != 4 or not all(isinstance(part, (int, float)) for part in parts):
        return parts
    x, y, width, height = _four_numbers(parts, f"A linked box must be four numbers, {bbox_format}")
    if bbox_format == "xyxy":
        width, height = width - x, height - y
    if width <= 0 or height <= 0:
        raise LayoutError(
            f"A linked box of the numbers {', '.join(f'{part:g}' for part in parts)} has no area when they are read as {bbox_format}. "
            "Set bbox_format to what the node before gives: xywh (left, top, width, height) or xyxy (left, top, right, bottom)."
        )
    return {"x": x, "y": y, "width": width, "height": height}


def to_json(layout: Layout) -> str:
    """Our own format; ``from_json`` gives the same layout back."""
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
    return json.dumps(
        {"version": FORMAT_VERSION, "caption": layout.caption, "boxes": boxes}, ensure_ascii=False
    )


@dataclass(frozen=True)
class _Draft:
    """An instance as it was read: the corners are not checked yet, and either part may still be missing."""

    number: int  # its place in what was given, from 1, for errors
    corners: tuple[float, float, float, float] | None  # x0, y0, x1, y1 as fractions
    description: str
    strength: float = 1.0


def _parse(text: str) -> Any:
    if not isinstance(text, str):
        raise LayoutError(f"The layout must be JSON text, got {_kind(text)}.")
    if not text.strip():
        return []
    try:
        return json.loads(text)
    except RecursionError:
        raise LayoutError("The layout is not JSON that can be read: it is nested too deeply.") from None
    except ValueError as error:  # JSONDecodeError, or an integer of too many digits
        raise LayoutError(f"The layout is not JSON: {error}. Expected {FORMATS}.") from None


def _read(data: Any, width: int, height: int) -> tuple[str, list[_Draft]]:
    """Caption and drafts of any known format."""
    if isinstance(data, dict) and "annotations" in data:
        canvas = (
            _number(data.get("width", RELEASE_CANVAS_PX), "width"),
            _number(data.get("height", RELEASE_CANVAS_PX), "height"),
        )
        if min(canvas) < 1:
            raise LayoutError(
                f"The layout's own canvas is {canvas[0]:g} x {canvas[1]:g} pixels; expected at least 1 x 1."
            )
        return _text(data.get("caption", ""), "caption"), [
            _release_draft(_entry(entry, number), number, canvas)
            for number, entry in enumerate(_list(data["annotations"], "annotations"), 1)
        ]
    if isinstance(data, dict) and "boxes" in data:
        version = data.get("version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise LayoutError(
                f"The layout has format version {version!r}; this pack reads version {FORMAT_VERSION}. Update ComfyUI-IFAdapter."
            )
        entries = [
            (number, _entry(entry, number)) for number, entry in enumerate(_list(data["boxes"], "boxes"), 1)
        ]
        return _text(data.get("caption", ""), "caption"), [
            _own_draft(entry, number) for number, entry in entries if not entry.get("hidden", False)
        ]
    if isinstance(data, dict) and ("bbox" in data or "width" in data):
        data = [data]
    if isinstance(data, list):
        return "", [_list_draft(entry, number, width, height) for number, entry in enumerate(data, 1)]
    raise LayoutError(f"The layout is {_kind(data)} of no known format. Expected {FORMATS}.")


def _own_draft(entry: dict, number: int) -> _Draft:
    corners = _corners(entry, ("x", "y", "w", "h"), number) if any(key in entry for key in "xywh") else None
    return _Draft(
        number,
        corners,
        _description(entry, ("caption",), number),
        _number(entry.get("strength", 1.0), f"Box {number}: strength"),
    )


def _release_draft(entry: dict, number: int, canvas: tuple[float, float]) -> _Draft:
    x, y, w, h = _four_numbers(entry.get("box"), f"Box {number}: 'box' must be [x, y, w, h] in pixels")
    corners = (x / canvas[0], y / canvas[1], (x + w) / canvas[0], (y + h) / canvas[1])
    caption = entry.get("caption")
    if isinstance(caption, list) and caption:  # alternatives, of which the release reads the first
        entry = {**entry, "caption": caption[0]}
    return _Draft(number, corners, _description(entry, ("caption",), number))


def _list_draft(entry: Any, number: int, width: int, height: int) -> _Draft:
    """An entry of a plain list: a host bounding box, a host box element, or a local description alone."""
    if isinstance(entry, str):
        return _Draft(number, None, entry.strip())
    entry = _entry(entry, number)
    if "bbox" in entry:
        wanted = f"Box {number}: 'bbox' must be [ymin, xmin, ymax, xmax] in thousandths of the canvas"
        y0, x0, y1, x1 = (value / ELEMENT_SCALE for value in _four_numbers(entry["bbox"], wanted))
        return _Draft(number, (x0, y0, x1, y1), _description(entry, ("desc", "text"), number))
    x0, y0, x1, y1 = _corners(entry, ("x", "y", "width", "height"), number)
    words = entry.get("metadata", entry)
    description = _description(_entry(words, number), ("desc", "text", "caption", "label"), number)
    return _Draft(number, (x0 / width, y0 / height, x1 / width, y1 / height), description)


def _fill_descriptions(linked: list[_Draft], written: list[_Draft]) -> list[_Draft]:
    """Boxes from a link, with the words of the written layout where the link has none."""
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


def _first_frame(boxes: Any) -> Any:
    """BOUNDING_BOX comes as one box, a list of boxes, or a list of frames; a layout is one frame."""
    if isinstance(boxes, list) and boxes and isinstance(boxes[0], list):
        if len(boxes) > 1:
            raise LayoutError(
                f"{len(boxes)} frames of boxes are linked; a layout is one picture. Pick one frame before this node."
            )
        return boxes[0]
    return boxes


def _finish(draft: _Draft) -> Instance:
    """Check a draft and make it an instance."""
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
            f"Box {number} lies outside the canvas: it spans {x0:g}..{x1:g} across and {y0:g}..{y1:g} down, where the canvas is 0..1. "
            "Move or shrink it; if its numbers are pixels, check the format and the canvas size (for bare numbers, bbox_format)."
        )
    box = Box(max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
    if box.x1 <= box.x0 or box.y1 <= box.y0:
        raise LayoutError(
            f"Box {number} has no area: width {x1 - x0:g}, height {y1 - y0:g} of the canvas. Both must be greater than 0."
        )
    return Instance(box, draft.description, draft.strength)


def _corners(entry: dict, keys: tuple[str, str, str, str], number: int) -> tuple[float, float, float, float]:
    missing = [key for key in keys if key not in entry]
    if missing:
        raise LayoutError(f"Box {number} lacks {', '.join(missing)}; expected {', '.join(keys)}.")
    x, y, w, h = (_number(entry[key], f"Box {number}: {key}") for key in keys)
    return x, y, x + w, y + h


def _description(entry: dict, keys: Iterable[str], number: int) -> str:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value:
            return _text(value, f"Box {number}: {key}")
    return ""


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise LayoutError(f"{name} must be text, got {_kind(value)}.")
    return value.strip()


def _number(value: Any, name: str) -> float:
    """A finite float, or an error that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LayoutError(f"{name} must be a number, got {_kind(value)}.")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise LayoutError(f"{name} must be a finite number, got {value}.")
    return value


def _four_numbers(value: Any, wanted: str) -> tuple[float, float, float, float]:
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise LayoutError(f"{wanted}, got {_kind(value)}.")
    x, y, w, h = (_number(part, wanted) for part in value)
    return x, y, w, h


def _entry(value: Any, number: int) -> dict:
    if not isinstance(value, dict):
        raise LayoutError(f"Box {number} must be an object with named numbers, got {_kind(value)}.")
    return value


def _list(value: Any, name: str) -> list:
    if not isinstance(value, list):
        raise LayoutError(f"'{name}' must be a list, got {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    """What a value is, for an error message, in JSON's words and cut short."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true/false",
        int: "a number",
        float: "a number",
        type(None): "nothing",
    }
    name = names.get(type(value), type(value).__name__)
    try:
        return f"{name} ({reprlib.repr(value)})"
    except ValueError:  # a whole number of more digits than Python writes out
        return f"{name} too long to show"
