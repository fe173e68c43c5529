"""Exports of annotation tools, refused by name. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..layout import LayoutError
from .draft import has_keys

ADVICE = (
    'Give the boxes of one picture, such as {"caption": "..", "width": 1024, "height": 768, '
    '"units": "pixels", "boxes": [{"x": 10, "y": 20, "w": 300, "h": 400, "caption": ".."}]}.'
)
COCO_KEYS = ("category_id", "image_id", "segmentation")
XML = re.compile(r"[\s\ufeff]*(```\w*\s*)?<(annotation|\?xml)", re.IGNORECASE)


def _holds(data: dict, key: str, *inner: str) -> bool:
    """Whether data[key] is a list whose first entry has one of these keys."""
    entries = data.get(key)
    return isinstance(entries, list) and bool(entries) and _has_any(entries[0], *inner)


def _has_any(entry: Any, *keys: str) -> bool:
    return isinstance(entry, dict) and any(key in entry for key in keys)


def _is_coco(data: dict) -> bool:
    return (
        has_keys(data, "images", "annotations")
        or _holds(data, "annotations", *COCO_KEYS)
        or ("bbox" in data and _has_any(data, *COCO_KEYS))
    )


def _is_label_studio(data: dict) -> bool:
    return (
        _holds(data, "annotations", "result")
        or _holds(data, "result", "from_name", "value")
        or has_keys(data, "from_name", "value")
        or any(_holds(data, key, "rectanglelabels") for key in data if key != "boxes")
    )


def _is_labelme(data: dict) -> bool:
    return _holds(data, "shapes", "points") or has_keys(data, "shapes", "imagePath")


def _is_voc(data: dict) -> bool:
    return isinstance(data.get("annotation"), dict) and "object" in data["annotation"]


EXPORTS: tuple[tuple[str, Callable[[dict], bool]], ...] = (
    ("a COCO annotation file", _is_coco),
    ("a Label Studio export", _is_label_studio),
    ("a LabelMe file", _is_labelme),
    ("a Pascal VOC annotation", _is_voc),
)


def refuse_exports(data: Any) -> None:
    """Raises LayoutError that names the tool if parsed JSON is the export of an annotation tool."""
    first = data[0] if isinstance(data, list) and data else data
    for name, matches in EXPORTS:
        if isinstance(first, dict) and matches(first):
            raise LayoutError(
                f"The layout is {name}, which is not read: its boxes may belong to other pictures. {ADVICE}"
            )


def refuse_xml(text: str) -> None:
    """Raises LayoutError if the text is a Pascal VOC annotation or other XML."""
    if XML.match(text):
        raise LayoutError(f"The layout is XML, such as a Pascal VOC annotation, which is not read. {ADVICE}")
