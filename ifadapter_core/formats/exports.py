"""Exports of annotation tools, refused by name. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..layout import LayoutError
from .draft import has_keys

ADVICE = (
    'Give the boxes of one picture, such as {"caption": "..", "width": 1024, "height": 768, '
    '"units": "pixels", "boxes": '
    '[{"x": 10, "y": 20, "w": 300, "h": 400, "caption": ".."}]}.'
)


def _holds(data: Any, key: str, *inner: str) -> bool:
    """Whether data[key] is a list whose first entry has one of these keys."""
    entries = data.get(key) if isinstance(data, dict) else None
    first = entries[0] if isinstance(entries, list) and entries else None
    return isinstance(first, dict) and any(name in first for name in inner)


def _is_coco(data: Any) -> bool:
    return has_keys(data, "images", "annotations") or _holds(
        data, "annotations", "category_id", "image_id", "segmentation"
    )


def _is_label_studio(data: Any) -> bool:
    task = data[0] if isinstance(data, list) and data else data
    return _holds(task, "annotations", "result") or _holds(task, "result", "from_name", "value")


def _is_labelme(data: Any) -> bool:
    return _holds(data, "shapes", "points")


EXPORTS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("a COCO annotation file", _is_coco),
    ("a Label Studio export", _is_label_studio),
    ("a LabelMe file", _is_labelme),
)
XML_STARTS = ("<annotation", "<?xml")


def refuse_exports(data: Any) -> None:
    """Raises LayoutError that names the tool if parsed JSON is the export of an annotation tool."""
    for name, matches in EXPORTS:
        if matches(data):
            raise LayoutError(
                f"The layout is {name}, which is not read: its boxes belong to other pictures. {ADVICE}"
            )


def refuse_xml(text: str) -> None:
    """Raises LayoutError if the text is a Pascal VOC annotation or other XML."""
    if text.lstrip().lower().startswith(XML_STARTS):
        raise LayoutError(f"The layout is XML, such as a Pascal VOC annotation, which is not read. {ADVICE}")
