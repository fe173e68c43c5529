"""Selects pictures and boxes from COCO's annotations, by the rules of layout-to-image work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ifadapter_core.layout import Box, Instance, Layout
from training.cropping.buckets import Canvas
from training.cropping.crop import crop

from .annotations import CocoPicture, pictures_of


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


class Square(NamedTuple):
    """A square part of a picture, in its pixels: left, top, side."""

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Draft:
    """A selected picture without descriptions: the central square of a file, and the boxes in it.

    name: of the layout.
    file_name: path within the folder of pictures.
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
        data = json.loads(path.read_text("utf-8-sig"))
        for key in ("images", "annotations", "categories"):
            if not isinstance(data[key], list):
                raise TypeError(f"{key} is not a list")
        if any(isinstance(entry, dict) and "segments_info" in entry for entry in data["annotations"]):
            raise TypeError("it holds panoptic segments")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
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
    drafts = (_draft(picture, selection) for picture in pictures_of(data))
    low, high = selection.objects
    return [draft for draft in drafts if low <= len(draft.layout.instances) <= high]


def _draft(picture: CocoPicture, selection: Selection) -> Draft:
    # Largest first. The id breaks ties, so the order of the file does not matter.
    ordered = sorted(picture.objects, key=lambda each: (-each.area, isinstance(each.id, str), each.id))
    instances = tuple(Instance(each.box, each.category) for each in ordered)

    # Crop to the central square, then drop boxes that are too small within it.
    side = min(picture.size)
    cropped = crop(Layout(*picture.size, instances), Canvas(side, side))
    large = tuple(one for one in cropped.layout.instances if area(one.box) > selection.area)
    square = Square(cropped.window.x, cropped.window.y, side)
    return Draft(
        picture.name, picture.file_name, picture.size, square, replace(cropped.layout, instances=large)
    )


def area(box: Box) -> float:
    """Area as a fraction of the canvas."""
    return (box.x1 - box.x0) * (box.y1 - box.y0)
