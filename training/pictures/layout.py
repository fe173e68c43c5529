"""The layout of a picture, from the JSON file beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ifadapter_core.formats.misspelt import misspelt_notice
from ifadapter_core.formats.units import NODE_ADVICE
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import read_layout as read_layout_text

from .notices import NoticeLog

ROUNDED_PX = 2  # sides of a scaled picture are whole pixels, which changes its shape by this much at most
MAX_SIDE_PX = 1e9  # of a size that a layout may give


def read_layout(picture: Path, width: int, height: int, log: NoticeLog) -> Layout:
    """The layout of a picture of width x height pixels. log: for what was repaired or not read.

    Raises ValueError naming the file, also if the layout is of a picture of another shape.
    """
    path = picture.with_suffix(".json")
    if not path.is_file():
        raise missing_layout(str(picture), path.name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error}).") from error
    return parse_layout(content, str(path), picture.name, width, height, log)


def missing_layout(picture: str, name: str) -> ValueError:
    """The error of a picture without a layout. name: of the file that is missing."""
    return ValueError(f"{picture} has no layout: there is no {name} beside it.")


def parse_layout(content: bytes, path: str, picture: str, width: int, height: int, log: NoticeLog) -> Layout:
    """The layout in the content of a file. path: of the file; picture: name; both for messages.
    log: for what was repaired or not read.

    Raises ValueError as ``read_layout`` does.
    """
    misspelt: list[str] = []
    try:
        text = content.decode("utf-8-sig")
        data = _json(text)
        if isinstance(data, dict):
            misspelt = misspelt_notice(data)  # before the size is written under the right keys
            given = {key: data[key] for key in ("width", "height") if data.get(key) is not None}
            size = {"width": width, "height": height, **given}
            _check_shape(picture, width, height, size["width"], size["height"])
            if "annotations" in data:
                # The release's format without a canvas size: boxes default to pixels of this picture.
                text = json.dumps({**data, **size})
        layout, notices = read_layout_text(text, width, height)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text. Save it again as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        message = str(error).replace(NODE_ADVICE, "")  # the pictures of a training have no node
        named = [notice for notice in misspelt if notice not in message]
        raise ValueError(" ".join((f"{path}: {message}", *named))) from error
    log.add(path, dict.fromkeys((*misspelt, *notices)))
    if not layout.instances:
        raise ValueError(f"{path} has no boxes. Describe at least one instance, or remove the picture.")
    return layout


def _json(text: str) -> Any:
    """Raises ValueError that says where a text is not JSON."""
    if not text.strip():
        raise ValueError("The file is empty. Write a layout, or remove the picture.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"The file is not JSON: {error.msg} ({place}). Write it again.") from error


def pack_layout(layout: Layout) -> list[Any]:
    """A layout without its canvas as values of JSON; ``unpack_layout`` is the exact inverse."""
    parts = [[*instance.box, instance.local_description, instance.strength] for instance in layout.instances]
    return [layout.caption, parts]


def unpack_layout(packed: list[Any], width: int, height: int) -> Layout:
    """The counterpart of ``pack_layout``, on a canvas of width x height pixels."""
    caption, parts = packed
    instances = tuple(Instance(Box(*part[:4]), *part[4:]) for part in parts)
    return Layout(width, height, instances, caption)


def _check_shape(picture: str, width: int, height: int, own_width: Any, own_height: Any) -> None:
    """Raises ValueError if the size that a layout gives contradicts the picture's shape.

    width, height: of the picture, in pixels.
    """
    sides = (own_width, own_height)
    if not all(isinstance(side, (int, float)) and 1 <= side <= MAX_SIDE_PX for side in sides):
        return  # the reader of the format says what is wrong
    difference = math.log(width / height) - math.log(own_width / own_height)
    if abs(difference) > ROUNDED_PX / min(width, height, *sides):
        raise ValueError(
            f"Its width and height are {own_width:g} x {own_height:g}, but {picture} has "
            f"{width} x {height} pixels, which is another shape. Give the boxes in pixels of the picture "
            "after its EXIF orientation, with that width and height."
        )
