"""How different tools write a box. Standard library only.

Each set of keys is bound to one order of the numbers, and to a default unit that ``units`` may replace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..layout import LayoutError
from .fields import Corners, corners_of, four_numbers, number_of

ELEMENT_TYPES = ("obj", "text")
BOX_NAMES = ("bbox", "bbox_2d", "box_2d", "box")  # keys that hold a whole box
SIDE_NAMES = ("x", "y", "w", "h", "width", "height")
# What the numbers of a box are, for advice on numbers that do not fit.
SIDES, EDGES, CENTRE = "left, top, width, height", "left, top, right, bottom", "centre, width, height"


@dataclass(frozen=True)
class BoxKeys:
    """How one kind of tool writes a box.

    example: for error messages.
    matches: whether an object is such a box.
    corners: object and number of the box -> x0, y0, x1, y1.
    unit: default unit.
    order: what the numbers are, ``SIDES``, ``EDGES`` or ``CENTRE``.
    """

    example: str
    matches: Callable[[dict], bool]
    corners: Callable[[dict, int], Corners]
    unit: str
    order: str = EDGES


def xyxy(values: Any, name: str) -> Corners:
    """[x0, y0, x1, y1] -> corners."""
    return four_numbers(values, name, ("x0", "y0", "x1", "y1"))


def xywh(values: Any, name: str) -> Corners:
    """[x, y, width, height] -> corners."""
    x, y, w, h = four_numbers(values, name, ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def yxyx(values: Any, name: str) -> Corners:
    """[ymin, xmin, ymax, xmax] -> corners."""
    y0, x0, y1, x1 = four_numbers(values, name, ("ymin", "xmin", "ymax", "xmax"))
    return x0, y0, x1, y1


def _list_under(key: str, order: Callable[[Any, str], Corners]) -> Callable[[dict, int], Corners]:
    return lambda entry, number: order(entry.get(key), f"Box {number}: '{key}'")


def _edges_under_box(*keys: str) -> Callable[[dict, int], Corners]:
    def read(entry: dict, number: int) -> Corners:
        if "x3" in entry["box"]:
            raise rotated(number)
        x0, y0, x1, y1 = (number_of(entry["box"].get(key), f"Box {number}: box: {key}") for key in keys)
        return x0, y0, x1, y1

    return read


def _unrotated_sides(entry: dict, number: int) -> Corners:
    rotation = entry.get("rotation")
    if rotation is not None and number_of(rotation, f"Box {number}: rotation") != 0:
        raise rotated(number)
    return _long_sides(entry, number)


def rotated(number: int) -> LayoutError:
    """The error for a rotated box."""
    return LayoutError(
        f"Box {number} is rotated, which a layout cannot hold. Give the upright box around it."
    )


def _sides(x: str, y: str, width: str, height: str) -> Callable[[dict, int], Corners]:
    return lambda entry, number: corners_of(entry, (x, y, width, height), number)


_long_sides = _sides("x", "y", "width", "height")
_short_sides = _sides("x", "y", "w", "h")


def _corner_sides(entry: dict, number: int) -> Corners:
    """Left, top, width and height. Beside "class", Roboflow and YOLO write centres under the same keys."""
    if "class" in entry and "caption" not in entry:
        raise LayoutError(
            f'Box {number}: "x" and "y" beside "class" may be the centre (Roboflow, YOLO) or the left top '
            'corner. For centres give {"predictions": [..]}, for fractions with "units": "fractions"; for '
            'corners rename "class" to "label".'
        )
    return _short_sides(entry, number) if _is_short(entry) else _long_sides(entry, number)


def _centre(entry: dict, number: int) -> Corners:
    across, down = ("w" if "w" in entry else "width"), ("h" if "h" in entry else "height")
    x, y, width, height = (
        number_of(entry.get(key), f"Box {number}: {key}") for key in ("x", "y", across, down)
    )
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _has_box_with(key: str) -> Callable[[dict], bool]:
    return lambda entry: isinstance(entry.get("box"), dict) and key in entry["box"]


def _is_short(entry: dict) -> bool:
    return (
        "w" in entry
        or "h" in entry
        or (("x" in entry or "y" in entry) and not {"width", "height"} & entry.keys())
    )


SHORT = BoxKeys('{"x", "y", "w", "h"}: fractions', _is_short, _corner_sides, "fractions", SIDES)
LONG = BoxKeys(
    '{"x", "y", "width", "height"}: pixels',
    lambda entry: any(key in entry for key in SIDE_NAMES),
    _corner_sides,
    "pixels",
    SIDES,
)
ELEMENT = BoxKeys(
    '{"type": "obj" or "text", "bbox": [ymin, xmin, ymax, xmax]}: thousandths',
    lambda entry: "bbox" in entry and entry.get("type") in ELEMENT_TYPES,
    _list_under("bbox", yxyx),
    "thousandths",
)
XYWH_BBOX = BoxKeys(
    '{"bbox": [x, y, width, height]}: pixels',
    lambda entry: "bbox" in entry,
    _list_under("bbox", xywh),
    "pixels",
    SIDES,
)
RELEASE_BOX = BoxKeys(
    '{"box": [x, y, width, height]}: pixels', lambda entry: True, _list_under("box", xywh), "pixels", SIDES
)
CENTRED = BoxKeys(
    '{"x", "y", "width", "height"}: centre, pixels', lambda entry: "x" in entry, _centre, "pixels", CENTRE
)
# Boxes that any list may hold; the first match counts.
BOX_KEYS = (
    BoxKeys(
        '{"x", "y", "width", "height", "rectanglelabels"}: percent',
        lambda entry: "rectanglelabels" in entry,
        _unrotated_sides,
        "percent",
        SIDES,
    ),
    BoxKeys(
        '{"bbox_2d": [x0, y0, x1, y1]}: thousandths',
        lambda entry: "bbox_2d" in entry,
        _list_under("bbox_2d", xyxy),
        "thousandths",
    ),
    BoxKeys(
        '{"box_2d": [ymin, xmin, ymax, xmax]}: thousandths',
        lambda entry: "box_2d" in entry,
        _list_under("box_2d", yxyx),
        "thousandths",
    ),
    ELEMENT,
    BoxKeys(
        '{"box": {"xmin", "ymin", "xmax", "ymax"}}: pixels',
        _has_box_with("xmin"),
        _edges_under_box("xmin", "ymin", "xmax", "ymax"),
        "pixels",
    ),
    BoxKeys(
        '{"box": {"x1", "y1", "x2", "y2"}}: pixels',
        _has_box_with("x1"),
        _edges_under_box("x1", "y1", "x2", "y2"),
        "pixels",
    ),
    SHORT,
    LONG,
)
