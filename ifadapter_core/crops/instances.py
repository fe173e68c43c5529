"""The instances of pictures as crops of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..conversions.masks import box_masks
from ..language.questions import caption_question, check_question
from ..layout import Instance, Layout, LayoutError
from .cut import cut
from .place import Place
from .remap import numbers_of, remap
from .sources import proportion_notices
from .windows import crop_window

# What can be asked about a crop; every question but "describe" needs a description.
QUESTIONS: dict[str, Callable[[str], str]] = {"describe": caption_question, "check": check_question}


@dataclass(frozen=True, eq=False)
class InstanceCrop:
    """One instance of a picture, cut out.

    picture: (1, h, w, C) float32 in 0..1.
    mask: (1, h, w) float32, the instance's box in the crop.
    description: the instance's local description.
    layout: all instances that reach into the crop, in its frame.
    place: where the crop belongs.
    """

    picture: Tensor
    mask: Tensor
    description: str
    layout: Layout
    place: Place


class CropReading(NamedTuple):
    """Crops, and notices about everything that was left out."""

    crops: list[InstanceCrop]
    notices: list[str]


def cut_instances(
    pictures: Sequence[Tensor], layouts: Sequence[Layout], context: float, size: int
) -> CropReading:
    """A crop of each instance: those of the first picture from back to front, then of the next.

    pictures: (H, W, C) each, in 0..1.
    layouts: one for each picture.
    context, size: see ``crop_window``.

    Raises LayoutError if there is no instance at all.
    """
    crops, notices = [], proportion_notices(layouts, pictures)
    for image, (picture, layout) in enumerate(zip(pictures, layouts, strict=True)):
        outside = []
        for index, instance in enumerate(layout.instances):
            crop = _cut_instance(picture, layout, index, instance, image, context, size)
            if crop is None:
                outside.append(index)
            else:
                crops.append(crop)
        if outside:
            notices.append(
                f"Left out of picture {image + 1}, since the box covers no pixel: {numbers_of(outside)}."
            )
        elif not layout.instances:
            notices.append(f"Picture {image + 1} has no crops: its layout has no instances.")
    if not crops:
        raise LayoutError(
            "There is nothing to cut out: no instance was drawn or detected in "
            f"{'the picture' if len(pictures) == 1 else f'any of the {len(pictures)} pictures'}. ComfyUI "
            "cannot run the nodes behind an empty list. Draw a box, lower the detector's threshold, or "
            "bypass these nodes."
        )
    return CropReading(crops, notices)


def questions_about(crops: Sequence[InstanceCrop], question: str) -> list[str]:
    """A question about each crop for a vision-language model. question: one of QUESTIONS.

    Raises LayoutError, which names the instance, if a check lacks its description.
    """
    for crop in crops:
        if question != "describe" and not crop.description.strip():
            number = "?" if crop.place.instance is None else crop.place.instance + 1
            raise LayoutError(
                f"Instance {number} of picture {crop.place.image + 1} has no description that could be "
                "checked. Write what it should look like, or set question to describe."
            )
    return [QUESTIONS[question](crop.description) for crop in crops]


def _cut_instance(
    picture: Tensor,
    layout: Layout,
    index: int,
    instance: Instance,
    image: int,
    context: float,
    size: int,
) -> InstanceCrop | None:
    """The crop of one instance; None if its box covers no pixel."""
    height, width = picture.shape[:2]
    window, crop = crop_window(instance.box, width, height, context, size)
    place = Place(window, width, height, image, index)
    part = remap(layout, place, crop.width, crop.height)
    if index not in part.kept:
        return None
    box = part.layout.boxes[part.kept.index(index)]
    return InstanceCrop(
        cut(picture, window, crop.width, crop.height)[None],
        box_masks([box], crop.height, crop.width),
        instance.local_description,
        part.layout,
        place,
    )
