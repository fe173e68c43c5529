"""Boxes from ComfyUI nodes: BOUNDING_BOX, box elements, bare numbers. Standard library only."""

from __future__ import annotations

from typing import Any

from ..layout import LayoutError
from .draft import Draft, LayoutFormat, Reading, has_key
from .fields import corners_of, description_of, entry_of, four_numbers

ELEMENT_SCALE = 1000  # box elements are in thousandths of the canvas


def read(data: list | dict, width: int, height: int) -> Reading:
    """A list of ComfyUI's boxes or box elements, or of descriptions only; or a single box."""
    entries = [data] if isinstance(data, dict) else data
    drafts = []
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            drafts.append(Draft(number, None, entry.strip()))
        elif "bbox" in entry_of(entry, number):
            drafts.append(_box_element(entry, number))
        else:
            drafts.append(_bounding_box(entry, number, width, height))
    return "", drafts


def _box_element(entry: dict, number: int) -> Draft:
    """An entry of ComfyUI's box elements, in thousandths of the canvas, y first."""
    expected = f"Box {number}: 'bbox' must be [ymin, xmin, ymax, xmax] in thousandths of the canvas"
    y0, x0, y1, x1 = (value / ELEMENT_SCALE for value in four_numbers(entry["bbox"], expected))
    return Draft(number, (x0, y0, x1, y1), description_of(entry, ("desc", "text"), number))


def _bounding_box(entry: dict, number: int, width: int, height: int) -> Draft:
    """An entry of ComfyUI's BOUNDING_BOX, in pixels of this canvas, perhaps with metadata."""
    x0, y0, x1, y1 = corners_of(entry, ("x", "y", "width", "height"), number)
    metadata = entry_of(entry.get("metadata", entry), number)
    description = description_of(metadata, ("desc", "text", "caption", "label"), number)
    return Draft(number, (x0 / width, y0 / height, x1 / width, y1 / height), description)


def first_frame(boxes: Any) -> Any:
    """Boxes of a BOUNDING_BOX value, which is one box, a list of boxes, or a list of frames."""
    if isinstance(boxes, list) and boxes and isinstance(boxes[0], list):
        if len(boxes) > 1:
            raise LayoutError(
                f"{len(boxes)} frames of boxes are linked; a layout is one picture. "
                "Pick one frame before this node."
            )
        return boxes[0]
    return boxes


def named_boxes(boxes: Any, bbox_format: str) -> Any:
    """Turn each group of four bare numbers (pixels) in linked boxes into a BOUNDING_BOX entry.

    Other values pass unchanged.

    bbox_format: "xywh" (left, top, width, height) or "xyxy" (left, top, right, bottom).

    Raises LayoutError if the numbers are not a box in this format.
    """
    try:
        return _named(boxes, bbox_format)
    except RecursionError:
        raise LayoutError("The linked boxes are nested too deeply.") from None


def _named(boxes: Any, bbox_format: str) -> Any:
    if hasattr(boxes, "tolist"):  # numpy arrays, torch tensors and their scalars
        boxes = boxes.tolist()
    if not isinstance(boxes, (list, tuple)):
        return boxes
    parts = [_named(part, bbox_format) for part in boxes]
    if len(parts) != 4 or not all(isinstance(part, (int, float)) for part in parts):
        return parts
    x, y, width, height = four_numbers(parts, f"A linked box must be four numbers, {bbox_format}")
    if bbox_format == "xyxy":
        width, height = width - x, height - y
    if width <= 0 or height <= 0:
        numbers = ", ".join(f"{part:g}" for part in parts)
        raise LayoutError(
            f"A linked box of the numbers {numbers} has no area when they are read as {bbox_format}. "
            "Set bbox_format to what the node before gives: xywh (left, top, width, height) "
            "or xyxy (left, top, right, bottom)."
        )
    return {"x": x, "y": y, "width": width, "height": height}


COMFYUI = LayoutFormat(
    'a list of BOUNDING_BOX entries {"x", "y", "width", "height"} with pixels of this canvas, '
    'or a list of box elements {"bbox": [ymin, xmin, ymax, xmax], "desc"} with thousandths of it',
    lambda data: isinstance(data, list) or has_key(data, "bbox", "width"),
    read,
)
