"""The boxes in a linked value: lists, rows of numbers, arrays, SEGS. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..formats.box_keys import xyxy
from ..formats.fields import kind_of, number_of
from ..formats.units import Canvas, canvas_of
from ..layout import LayoutError

MAX_LINKED = 1000  # boxes; a detector that finds more is set too low
MAX_NUMBERS = 16  # in a row; arrays with more are pictures
MAX_NESTED = 10  # empty lists inside each other
SCORED = 5  # length of x0, y0, x1, y1, score
UNNAMED = "A"  # the Impact Pack's label of segments without one
# Keys of boxes in a whole layout, which belongs in the layout text.
WHOLE_KEYS = ("boxes", "bboxes", "annotations", "annos", "predictions", "elements", "region_bboxes_list")


def entries_of(value: Any) -> Sequence[Any]:
    """The boxes of the one frame in a linked value: objects, rows or what stands in their place."""
    value = plain(value)
    if isinstance(value, dict):
        _refuse_whole_layout(value)
        return [value]
    if not isinstance(value, (list, tuple)):
        raise LayoutError(f"The linked boxes are {kind_of(value)}; expected a list of boxes.")
    if _is_empty(value):
        return []
    if _holds_numbers(counted(value)):
        return [value]
    parts = [plain(part) for part in value]
    if all(isinstance(part, (list, tuple)) and not _holds_numbers(part) for part in parts):
        if len(parts) > 1:
            raise LayoutError(
                f"{len(parts)} frames of boxes are linked; a layout is one picture. Pick one frame before "
                "this node."
            )
        parts = [plain(part) for part in counted(parts[0])]
    for part in parts:
        _refuse_whole_layout(part)
    return parts


def frames_of(value: Any) -> list[Any]:
    """The frames of a linked value, one for each picture: each is a value of one picture."""
    if not isinstance(value, (list, tuple)) or is_segs(value) or len(value) < 2:
        return [value]
    parts = [plain(part) for part in counted(value)]
    if all(isinstance(part, (list, tuple)) and not _holds_numbers(part) for part in parts):
        return [[list(part)] for part in parts]
    return [value]


def plain(value: Any) -> Any:
    """numpy arrays, torch tensors and their scalars as Python values; a row of scalars as well."""
    if isinstance(value, (list, tuple)) and len(value) <= SCORED:
        return [plain(part) if hasattr(part, "tolist") else part for part in value]
    if not hasattr(value, "tolist"):
        return value
    shape = tuple(getattr(value, "shape", ()))
    if len(shape) > 3 or shape[-1:] > (MAX_NUMBERS,):
        raise LayoutError(
            f"The linked boxes are an array of shape {shape}, like a picture; expected (boxes, 4). Link "
            "masks to the input masks."
        )
    if math.prod(shape[:-1]) > MAX_LINKED:
        raise _too_many(math.prod(shape[:-1]))
    try:
        return value.tolist()
    except Exception as error:  # such as a tensor without data
        raise LayoutError(
            f"The linked boxes hold a {type(value).__name__} without values: {error}."
        ) from None


def counted(value: Any) -> Any:
    """A list, counted before it is read."""
    if len(value) > MAX_LINKED:
        raise _too_many(len(value))
    return value


def _too_many(count: int) -> LayoutError:
    return LayoutError(
        f"{count} boxes are linked; at most {MAX_LINKED} are read. Raise the detector's threshold."
    )


def is_row(value: Any) -> bool:
    """Whether a value is a box of bare numbers, perhaps with a score."""
    return _holds_numbers(value) and len(value) in (4, SCORED)


def checked_entry(entry: Any, number: int) -> Any:
    """An object, a row or a text. Raises LayoutError for rows of another length and other values."""
    if _holds_numbers(entry) and not is_row(entry):
        raise LayoutError(
            f"Linked box {number} is a list of {len(entry)} numbers, {kind_of(list(entry))}. Expected four, "
            "see bbox_format, or five: left, top, right, bottom and a score. Leave out what else it holds, "
            "such as a class."
        )
    if isinstance(entry, (dict, str)) or is_row(entry):
        return entry
    raise LayoutError(
        f"Linked box {number} must be an object with named numbers or a list of four, got {kind_of(entry)}."
    )


def _holds_numbers(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(isinstance(part, (int, float)) for part in value)


def _is_empty(value: Any) -> bool:
    """Whether a value is an empty list, perhaps inside of others."""
    for _ in range(MAX_NESTED):
        if not isinstance(value, (list, tuple)) or len(value) > 1:
            return False
        if not value:
            return True
        value = value[0]
    return False


def _refuse_whole_layout(value: Any) -> None:
    found = [key for key in WHOLE_KEYS if isinstance(value, dict) and key in value]
    if found:
        raise LayoutError(
            f'The linked boxes are a whole layout, with boxes under "{found[0]}". Link the list of its '
            'boxes, or give the layout as text to the input "layout".'
        )


def is_segs(value: Any) -> bool:
    """Whether a value is SEGS of the Impact Pack: ((height, width), [SEG(.., bbox, label, ..)])."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and isinstance(value[0], (tuple, list))
        and len(value[0]) == 2
        and isinstance(value[1], (tuple, list))
        and all(hasattr(segment, "bbox") for segment in value[1][: MAX_LINKED + 1])
    )


def size_of_segs(size: Any) -> Canvas:
    """The picture that SEGS belong to. size: height and width in pixels."""
    height, width = (number_of(plain(side), "The size of the linked SEGS") for side in size)
    return canvas_of(width, height)


def box_of_segment(segment: Any) -> dict[str, Any]:
    """A BOUNDING_BOX entry of a SEG, whose bbox is x0, y0, x1, y1 in pixels."""
    x0, y0, x1, y1 = xyxy(plain(segment.bbox), "The bbox of a linked SEG")
    label = getattr(segment, "label", None)
    return {
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
        "label": "" if label == UNNAMED else label,
    }
