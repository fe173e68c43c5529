"""Fields that would be ignored: those that contradict the box are refused, others are named in a notice.

``web/formats/ignored.js`` is the twin. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..layout import LayoutError
from .box_keys import BOX_NAMES, SIDE_NAMES, rotated
from .fields import first_named, has_value, kind_of, shown

# Edges and centres that are read only inside of "box", or not at all.
EDGE_NAMES = (
    *("x0", "y0", "x1", "y1", "x2", "y2", "xmin", "ymin", "xmax", "ymax", "left", "top", "right", "bottom"),
    *("cx", "cy", "xc", "yc", "x_center", "y_center", "center_x", "center_y", "center", "centre"),
)
INNER_NAMES = ("xmin", "x1", "x", "left", "cx")  # one of each way to write an object under "box"
DOUBLES = (("w", "width"), ("h", "height"))
ROTATIONS = ("rotation", "angle", "rotate", "theta")
ANCHORS = ("anchor", "origin")
LEFT_TOP = ("topleft", "lefttop", "upperleft", "tl", "lt")
# Fields with a meaning that a layout cannot hold, or calls otherwise -> the value that changes nothing.
IGNORED: dict[str, Any] = {
    "weight": 1,
    "visible": True,
    "enabled": True,
    "z": "",
    "z_index": "",
    "zIndex": "",
    "opacity": 1,
    "negative": "",
    "negative_prompt": "",
    "rotation": 0,
    "angle": 0,
    "rotate": 0,
    "theta": 0,
}
IGNORED_OF_LAYOUT = (
    *("strength", "weight", "negative", "negative_prompt", "global_prompt", "positive_prompt", "description"),
    *("scene", "background", "style", "style_description"),
)
ELEMENT_PROMPT = "compositional_deconstruction"  # key of an inner object of Ideogram's prompt
# Names that other tools give to the size of their picture, beside "image": {"width", "height"}.
SIZES = (
    *("image_width", "image_height", "img_width", "img_height", "imageWidth", "imageHeight"),
    *("canvas_width", "canvas_height", "canvas", "image_size", "imageSize", "size", "resolution"),
)
SIZE_AS_TEXT = re.compile("[0-9]{2,5} ?[xX*,\u00d7] ?[0-9]{2,5}")
HOW_TO_SAY = (
    'The global prompt is the "caption", the factor on the effect of a box is its "strength", "hidden": true '
    "leaves a box out, and later boxes are nearer."
)


def refuse_contradictions(entry: dict, number: int) -> None:
    """Raise LayoutError if a field says something else about the box than those that are read."""
    _refuse_two_boxes(entry, number)
    for short, long in DOUBLES:
        given = [kind_of(entry[key]) for key in (short, long) if key in entry]
        if len(set(given)) > 1:
            raise LayoutError(
                f"Box {number} has {short} and {long}, which differ: {' and '.join(given)}. Leave one."
            )
    for key in ROTATIONS:
        value = entry.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value != 0:
            raise rotated(number)
    refuse_anchor(entry, f"Box {number}")


def refuse_anchor(data: dict, name: str) -> None:
    """Raise LayoutError if x and y are stated to be another point than the left top corner."""
    for key in ANCHORS:
        value = data.get(key)
        if not has_value(value) or shown(value) == "[0, 0]":
            continue
        if not isinstance(value, str) or re.sub("[^a-z]", "", value.lower()) not in LEFT_TOP:
            raise LayoutError(
                f"{name}: {key} is {kind_of(value)}, but x and y are read as the left top corner. Give that "
                f'corner, or centres under "predictions", and leave out {key}.'
            )


def refuse_other_sizes(layout: dict, units: Iterable[str]) -> None:
    """Raise LayoutError if pixels may be those of a picture whose size stands under an unknown key.

    layout: parsed JSON. units: of its boxes.
    """
    if "pixels" not in units or (layout.get("width") is not None and layout.get("height") is not None):
        return
    found = [key for key in SIZES if _is_size(layout.get(key))]
    image = layout.get("image")  # read beside Roboflow's "predictions"
    if "predictions" not in layout and isinstance(image, dict) and _is_size(image.get("width")):
        found.append("image")
    if found:
        raise LayoutError(
            f"The layout seems to state the size of its picture under {' and '.join(found)}, which is not "
            'read, and has boxes in pixels. Write the size as "width" and "height" of the layout.'
        )


def states_size(layout: dict) -> bool:
    """Whether a whole layout, or the image beside Roboflow's boxes, states its width and its height."""
    parts = [layout, layout.get("image")] if "predictions" in layout else [layout]
    sizes = [part for part in parts if isinstance(part, dict)]
    return all(any(part.get(key) is not None for part in sizes) for key in ("width", "height"))


def _is_size(value: Any) -> bool:
    """Whether a value may be a width, a height or both."""
    if isinstance(value, str):
        return SIZE_AS_TEXT.fullmatch(value) is not None
    return isinstance(value, (int, float, list, dict)) and not isinstance(value, bool)


def _refuse_two_boxes(entry: dict, number: int) -> None:
    """Raise LayoutError if an entry has its box twice, or edges that are not read."""
    names = [name for name in BOX_NAMES if name in entry]
    edges = [name for name in EDGE_NAMES if name in entry]
    sides = [name for name in SIDE_NAMES if name in entry]
    if edges and not names and (not {"x", "y"} & set(sides) or set(sides) <= {"x", "y"}):
        raise LayoutError(
            f"Box {number} has {', '.join(sides + edges)}, which are not read together. For edges write "
            '"box": {"xmin", "ymin", "xmax", "ymax"} (pixels) or "bbox_2d": [x0, y0, x1, y1]; for centres '
            'give {"predictions": [{"x", "y", "width", "height"}]}.'
        )
    names += sides[:1] + edges[:1]
    box = entry.get("box")
    inner = [name for name in INNER_NAMES if isinstance(box, dict) and name in box]
    if len(names) > 1 or len(inner) > 1:
        both = " and ".join(names if len(names) > 1 else (f"box: {name}" for name in inner))
        raise LayoutError(f"Box {number} has its box twice, under {both}. Leave one of them.")


def ignored_fields(entry: dict) -> tuple[str, ...]:
    """Fields of a box that are not read although they have a meaning."""
    return tuple(key for key, same in IGNORED.items() if key in entry and not _is_same(entry[key], same))


def _is_same(value: Any, same: Any) -> bool:
    """Whether the value of a field changes nothing. True is not 1, as in JavaScript."""
    if not has_value(value):
        return True
    is_number = isinstance(value, (int, float))  # others, such as an array, may not compare to one truth
    return is_number and isinstance(value, bool) is isinstance(same, bool) and value == same


def ignored_notice(layout: Any, boxes: Iterable[tuple[int, tuple[str, ...]]]) -> list[str]:
    """A notice that names the fields that are not read although they have a meaning, if there are any.

    layout: parsed JSON. boxes: number and ``ignored_fields`` of each box.
    """
    numbers: dict[str, list[str]] = {}
    for number, keys in boxes:
        for key in keys:
            numbers.setdefault(key, []).append(str(number))
    inner = layout.get(ELEMENT_PROMPT) if isinstance(layout, dict) else None
    parts = [part for part in (layout, inner) if isinstance(part, dict)]
    found = [key for key in IGNORED_OF_LAYOUT if any(has_value(part.get(key)) for part in parts)]
    for key, named in numbers.items():
        found.append(f"{key} (box {first_named(named)})")
    return [f"Not read: {', '.join(found)}. {HOW_TO_SAY}"] if found else []
