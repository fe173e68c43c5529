"""Pictures and boxes out of COCO's annotations, as layout-to-image work takes them."""

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
    """Which pictures and boxes are taken: 3 to 8 objects that each cover more than 2 % of the picture, no crowds.

    These are the numbers of sg2im (Johnson et al. 2018, section 4.1) for COCO, which LAMA (Li et al. 2021) and LayoutDiffusion
    (Zheng et al. 2023) keep. objects: fewest and most in a picture. area: the part of the picture that each covers at least.
    """

    objects: tuple[int, int] = (3, 8)
    area: float = 0.02


@dataclass(frozen=True)
class Draft:
    """A picture that wants words: the central square of a file, and boxes in it with categories as local descriptions.

    The layout's sides are pixels of the file. Boxes stand from the largest to the smallest: COCO knows no depth, and what is
    small is more often in front.
    """

    name: str
    file_name: str
    size: tuple[int, int]  # width and height of the whole file, in pixels
    square: Square
    layout: Layout


def read_annotations(path: Path) -> dict[str, Any]:
    """A file like ``instances_val2014.json``. Raises ValueError when it is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
        for key in ("images", "annotations", "categories"):
            if not isinstance(data[key], list):
                raise TypeError(f"{key} is no list")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no file of COCO's instance annotations ({error!r}). Give one like instances_val2014.json."
        ) from error
    return data


def choose(data: dict[str, Any], selection: Selection, count: int, seed: int) -> list[Draft]:
    """``count`` pictures by lot: another count with the same seed begins with the same pictures, whatever the file's order.

    Raises ValueError when there are not so many.
    """
    drafts = candidates(data, selection)
    if len(drafts) < count:
        raise ValueError(
            f"{count} pictures are asked for and {len(drafts)} have {selection.objects[0]} to {selection.objects[1]} objects that cover "
            f"more than {selection.area:.0%} of it. Ask for fewer with --count, or give a larger set of annotations."
        )
    return sorted(drafts, key=lambda draft: hashlib.sha256(f"{seed} {draft.name}".encode()).digest())[:count]


def candidates(data: dict[str, Any], selection: Selection) -> list[Draft]:
    """All pictures of which the selection takes enough boxes."""
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
    fewest, most = selection.objects
    return [draft for draft in drafts if draft and fewest <= len(draft.layout.instances) <= most]


def _draft(
    image: dict[str, Any], boxes: Sequence[dict[str, Any]], names: dict[int, str], selection: Selection
) -> Draft | None:
    width, height = image["width"], image["height"]
    ordered = sorted(boxes, key=lambda entry: (-entry["bbox"][2] * entry["bbox"][3], entry["id"]))
    whole = Layout(width, height, tuple(_instance(entry, width, height, names) for entry in ordered))
    square, layout = crop(
        replace(whole, instances=tuple(one for one in whole.instances if area(one.box) > 0))
    )
    large = tuple(one for one in layout.instances if area(one.box) > selection.area)
    return Draft(
        Path(image["file_name"]).stem,
        image["file_name"],
        (width, height),
        square,
        replace(layout, instances=large),
    )


def _instance(entry: dict[str, Any], width: int, height: int, names: dict[int, str]) -> Instance:
    x, y, w, h = entry["bbox"]
    edges = (x / width, y / height, (x + w) / width, (y + h) / height)
    return Instance(Box(*(min(max(edge, 0.0), 1.0) for edge in edges)), names[entry["category_id"]])


def area(box: Box) -> float:
    """As a part of the canvas."""
    return (box.x1 - box.x0) * (box.y1 - box.y0)
