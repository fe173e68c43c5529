"""Selects pictures and boxes from COCO's annotations, by the rules of layout-to-image work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ifadapter_core.layout import Box, Instance, Layout
from training.picture_folder import Square, crop


@dataclass(frozen=True)
class Selection:
    """Which pictures and boxes are selected; crowd annotations never are.

    The defaults are the numbers of sg2im (Johnson et al. 2018, section 4.1) for COCO, also used by
    LAMA (Li et al. 2021) and LayoutDiffusion (Zheng et al. 2023).

    objects: minimum and maximum number of objects in a picture.
    area: each object covers more than this fraction of the square.
    """

    objects: tuple[int, int] = (3, 8)
    area: float = 0.02


@dataclass(frozen=True)
class Draft:
    """A selected picture without descriptions: the central square of a file, and the boxes in it.

    name: file name without extension.
    file_name: file name in the annotations.
    size: width and height of the whole file in pixels.
    square: the crop, in pixels of the file.
    layout: sides in pixels of the file, categories as local descriptions. Boxes are ordered from
        the largest to the smallest, back to front: COCO has no depth, and small objects are more
        often in front.
    """

    name: str
    file_name: str
    size: tuple[int, int]
    square: Square
    layout: Layout


def read_annotations(path: Path) -> dict[str, Any]:
    """Read a file like ``instances_val2014.json``. Raises ValueError if it is not one."""
    try:
        data = json.loads(path.read_text("utf-8"))
        for key in ("images", "annotations", "categories"):
            if not isinstance(data[key], list):
                raise TypeError(f"{key} is not a list")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a file of COCO's instance annotations ({error!r}). "
            "Give one like instances_val2014.json."
        ) from error
    return data


def choose(data: dict[str, Any], selection: Selection, count: int, seed: int) -> list[Draft]:
    """``count`` drafts, sampled deterministically from the seed.

    The order of the file does not matter, and a smaller count gives a prefix of a larger one.
    Raises ValueError if there are too few candidates.
    """
    drafts = candidates(data, selection)
    if len(drafts) < count:
        low, high = selection.objects
        raise ValueError(
            f"{count} pictures were requested, but only {len(drafts)} have {low} to {high} "
            "objects that each cover more "
            f"than {selection.area:.0%} of the picture. Lower --count, "
            "or use a larger set of annotations."
        )
    return sorted(drafts, key=lambda draft: hashlib.sha256(f"{seed} {draft.name}".encode()).digest())[:count]


def candidates(data: dict[str, Any], selection: Selection) -> list[Draft]:
    """All pictures with an allowed number of selected boxes."""
    names = {entry["id"]: str(entry["name"]) for entry in data["categories"]}
    boxes: dict[int, list[dict[str, Any]]] = {}
    for entry in data["annotations"]:
        if not entry.get("iscrowd", 0):
            boxes.setdefault(entry["image_id"], []).append(entry)
    drafts = (
        _draft(image, boxes[image["id"]], names, selection)
        for image in data["images"]
        if image["id"] in boxes
    )
    low, high = selection.objects
    return [draft for draft in drafts if low <= len(draft.layout.instances) <= high]


def _draft(
    image: dict[str, Any],
    boxes: Sequence[dict[str, Any]],
    names: dict[int, str],
    selection: Selection,
) -> Draft:
    width, height = image["width"], image["height"]

    # Largest first. The id breaks ties, so the order of the file does not matter.
    ordered = sorted(boxes, key=lambda entry: (-entry["bbox"][2] * entry["bbox"][3], entry["id"]))
    whole = Layout(width, height, tuple(_instance(entry, width, height, names) for entry in ordered))

    # Crop to the central square, then drop boxes that are too small within it.
    valid = tuple(one for one in whole.instances if area(one.box) > 0)
    square, layout = crop(replace(whole, instances=valid))
    large = tuple(one for one in layout.instances if area(one.box) > selection.area)
    name = image["file_name"]
    return Draft(Path(name).stem, name, (width, height), square, replace(layout, instances=large))


def _instance(entry: dict[str, Any], width: int, height: int, names: dict[int, str]) -> Instance:
    """An annotation as an instance, clipped to the picture, with its category as local description."""
    x, y, w, h = entry["bbox"]
    edges = (x / width, y / height, (x + w) / width, (y + h) / height)
    return Instance(Box(*(min(max(edge, 0.0), 1.0) for edge in edges)), names[entry["category_id"]])


def area(box: Box) -> float:
    """Area as a fraction of the canvas."""
    return (box.x1 - box.x0) * (box.y1 - box.y0)
