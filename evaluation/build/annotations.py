"""The usable pictures and objects of a COCO file. Everything else is left out, counted and logged."""

from __future__ import annotations

import logging
import math
import re
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ifadapter_core.layout import Box

from ..benchmark import MAX_NAME

MAX_SIDE_PX = 2**20  # of a picture

LeftOut = defaultdict[str, list[Any]]  # ids of the entries that are left out, by the reason


@dataclass(frozen=True)
class CocoObject:
    """An annotation.

    box: clipped to the picture.
    area: of the box before it is clipped, in square pixels.
    category: name of its category.
    """

    id: int | str
    box: Box
    area: float
    category: str


@dataclass(frozen=True)
class CocoPicture:
    """A picture and its objects, without crowds.

    name: unique, and valid as a name of a layout.
    file_name: path within the folder of pictures.
    size: width and height in pixels.
    """

    name: str
    file_name: str
    size: tuple[int, int]
    objects: tuple[CocoObject, ...]


def pictures_of(data: dict[str, Any]) -> list[CocoPicture]:
    """The pictures with objects. Logs one line for each reason why entries are left out."""
    left_out: LeftOut = defaultdict(list)
    images = _images(data["images"], left_out)
    objects = _objects(data, images, left_out)
    names = _names(name for name, _ in images.values())
    pictures = []
    for key, (file_name, size) in images.items():
        name = names[file_name]
        if name is None:
            left_out["images whose names are equal or cannot be file names"].append(file_name)
        elif objects[key]:
            pictures.append(CocoPicture(name, file_name, size, tuple(objects[key])))
    for reason, entries in left_out.items():
        logging.warning("Left out: %d %s, for example %s.", len(entries), reason, reprlib.repr(entries[0]))
    return pictures


Images = dict[Any, tuple[str, tuple[int, int]]]  # file name and size, by the image's id


def _images(entries: list[Any], left_out: LeftOut) -> Images:
    """The usable images."""
    images: Images = {}
    for entry in map(_fields, entries):
        key, file_name = entry.get("id"), entry.get("file_name")
        size = (_side(entry.get("width")), _side(entry.get("height")))
        if not _is_id(key):
            left_out["images without an id"].append(file_name)
        elif not isinstance(file_name, str) or not file_name:
            left_out["images without a file_name"].append(key)
        elif not all(size):
            left_out["images without a width and a height in pixels"].append(key)
        elif key in images:
            left_out["images that are listed again"].append(key)
            if images[key] != (file_name, size):  # the annotations may mean either
                images[key] = ("", size)
        else:
            images[key] = (file_name, size)

    # A file under several ids has its objects spread over them.
    files = Counter(PurePosixPath(file_name) for file_name, _ in images.values())
    for key, (file_name, _) in list(images.items()):
        if not file_name or files[PurePosixPath(file_name)] > 1:
            left_out["images with several files, or files with several images"].append(key)
            del images[key]
    return images


def _objects(data: dict[str, Any], images: Images, left_out: LeftOut) -> dict[Any, list[CocoObject]]:
    """The usable objects by the id of their image."""
    categories = {
        entry["id"]: entry["name"]
        for entry in map(_fields, data["categories"])
        if _is_id(entry.get("id")) and isinstance(entry.get("name"), str) and entry["name"].strip()
    }
    listed = {entry.get("id") for entry in map(_fields, data["images"]) if _is_id(entry.get("id"))}
    objects: dict[Any, list[CocoObject]] = {key: [] for key in images}
    seen: dict[Any, dict[str, Any]] = {}
    for entry in map(_fields, data["annotations"]):
        key: Any
        key, image, category, bbox = (entry.get(name) for name in ("id", "image_id", "category_id", "bbox"))
        if not _is_id(key):
            left_out["annotations without an id"].append(entry)
        elif (first := seen.setdefault(key, entry)) is not entry and first == entry:
            left_out["annotations that are listed again"].append(key)
        elif not _is_id(image) or image not in listed:
            left_out["annotations of images that are not listed"].append(key)
        elif entry.get("iscrowd") or image not in images:  # the rules exclude crowds
            continue
        elif not _is_id(category) or category not in categories:
            left_out["annotations of categories that are not listed"].append(key)
        elif not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
            left_out["annotations without a bbox of four numbers"].append(key)
        else:
            box = _clipped(bbox, images[image][1])
            if box.x1 <= box.x0 or box.y1 <= box.y0:
                left_out["annotations whose bbox has no area in the picture"].append(key)
            else:
                objects[image].append(
                    CocoObject(key, box, float(bbox[2]) * float(bbox[3]), categories[category])
                )
    return objects


def _clipped(bbox: list[float], size: tuple[int, int]) -> Box:
    """bbox: x, y, width, height in pixels. size: of the picture."""
    (x, y, w, h), (width, height) = map(float, bbox), size
    edges = (x / width, y / height, (x + w) / width, (y + h) / height)
    return Box(*(min(max(edge, 0.0), 1.0) for edge in edges))


def _names(files: Iterable[str]) -> dict[str, str | None]:
    """A layout's name for each file: the file's, or its whole path where two files have the same name.

    None if the paths are equal too, or cannot be a file name.
    """
    paths = {file: PurePosixPath(file) for file in files}
    names = {file: _name(path.stem) for file, path in paths.items()}
    equal = Counter(map(str.casefold, names.values()))
    for file, path in paths.items():
        if equal[names[file].casefold()] > 1:
            names[file] = _name("_".join((*path.parent.parts, path.stem)))
    equal = Counter(map(str.casefold, names.values()))
    return {file: name if name and equal[name.casefold()] == 1 else None for file, name in names.items()}


def _name(text: str) -> str:
    """The text as a name of a layout; may be empty."""
    return re.sub(r"[^\w.-]+", "_", text).lstrip(".")[:MAX_NAME]


def _fields(entry: Any) -> dict[str, Any]:
    """An entry of a list; no fields if it is no object."""
    return entry if isinstance(entry, dict) else {}


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # of an integer beyond a float
        return False


def _side(value: Any) -> int:
    """A side of a picture in pixels; 0 if the value is none."""
    return int(value) if _is_number(value) and value == int(value) and 1 <= value <= MAX_SIDE_PX else 0
