"""A layout as segments: the content of SEGS, the value of the Impact Pack's detectors and detailers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ..layout import Layout
from .boxes import box_numbers

CONTEXT = 3.0  # side of a crop, in sides of its box or mask: the default of the Impact Pack's nodes
UNNAMED = "A"  # the Impact Pack's label of segments without one


class Segment(NamedTuple):
    """One box of a picture, with the field names of the Impact Pack's SEG.

    cropped_image: None; the consumer cuts it out of its picture.
    cropped_mask: float32 array (crop height, crop width) in 0..1.
    confidence: 1.
    crop_region: left, top, right, bottom of the crop in pixels of the picture.
    bbox: left, top, right, bottom of the box in pixels of the picture.
    label: local description.
    control_net_wrapper: None.
    """

    cropped_image: None
    cropped_mask: Any
    confidence: float
    crop_region: list[int]
    bbox: tuple[int, int, int, int]
    label: str
    control_net_wrapper: None = None


def box_segments(layout: Layout, masks: Sequence[Tensor] | Tensor) -> list[Segment]:
    """One segment for each instance, from back to front. Rounds boxes to pixels.

    masks: (N, height, width) of the layout's canvas, float32 in 0..1, see ``box_masks``. A crop holds the
        whole mask, also where that exceeds the box.
    """
    segments = []
    numbers = box_numbers(layout)
    for (x, y, w, h), mask, words in zip(numbers, masks, layout.local_descriptions, strict=True):
        left, right = _crop(x, x + w, mask.any(dim=0))
        top, bottom = _crop(y, y + h, mask.any(dim=1))
        part = mask[top:bottom, left:right].clone().numpy()
        box = (x, y, x + w, y + h)
        segments.append(Segment(None, part, 1.0, [left, top, right, bottom], box, words or UNNAMED))
    return segments


def _crop(start: int, end: int, masked: Tensor) -> tuple[int, int]:
    """Edges of the crop along one side: around the middle of box and mask, moved inside the picture.

    start, end: edges of the box in pixels. masked: (size,), True where the mask has a pixel.
    """
    size = len(masked)
    pixels = masked.nonzero().flatten().tolist() or [start]
    start, end = min(start, pixels[0]), max(end, pixels[-1] + 1)
    side = min(round((end - start) * CONTEXT), size)
    first = min(max((start + end - side) // 2, 0), size - side)
    return first, first + side
