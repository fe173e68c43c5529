"""Greedy one-to-one matching of detections to the boxes of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..geometry import box_iou

MATCH_IOU = 0.5  # the paper, section 4
ROUNDING = 1e-9  # boxes were converted to fractions of the canvas and back

PixelBox = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the picture


@dataclass(frozen=True)
class Detection:
    """One detected object.

    box: in pixels of the picture.
    score: confidence, 0..1.
    phrase: index of the phrase that the object matches.
    """

    box: PixelBox
    score: float
    phrase: int


@dataclass(frozen=True)
class Wanted:
    """A box of the layout.

    box: in pixels of the picture.
    phrase: index of the phrase expected there.
    """

    box: PixelBox
    phrase: int


@dataclass(frozen=True)
class Match:
    """A detection assigned to a wanted box.

    detection: its index.
    iou: intersection over union of the two boxes, at least the limit that was given.
    """

    detection: int
    iou: float


def match(
    detections: Sequence[Detection], wanted: Sequence[Wanted], least_iou: float = MATCH_IOU
) -> list[Match | None]:
    """The matching detection of each wanted box, or None.

    Greedy by descending score: each detection takes the unmatched box of its phrase with the
    largest IoU. So a detection matches at most one box, and duplicates of a detection match none.

    least_iou: intersection over union that a match needs.
    """
    matches: list[Match | None] = [None] * len(wanted)
    for index in sorted(range(len(detections)), key=lambda index: -detections[index].score):
        found = detections[index]
        overlaps = {
            place: box_iou(found.box, each.box)
            for place, each in enumerate(wanted)
            if each.phrase == found.phrase and matches[place] is None
        }
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] >= least_iou - ROUNDING:
            matches[best] = Match(index, overlaps[best])
    return matches


def pixel_box(box: Sequence[float], size: tuple[int, int]) -> PixelBox:
    """Convert a box from fractions of the canvas to pixels. size: width and height of the picture."""
    x0, y0, x1, y1 = (value * side for value, side in zip(box, (*size, *size), strict=True))
    return x0, y0, x1, y1
