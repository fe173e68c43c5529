"""Greedy one-to-one matching of detections to the boxes of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifadapter_core.geometry import box_iou

from .detector import Detection, PixelBox

MATCH_IOU = 0.5  # the paper, section 4
ROUNDING = 1e-9  # boxes were converted to fractions of the canvas and back


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
    iou: intersection over union of the two boxes, at least ``MATCH_IOU``.
    """

    detection: int
    iou: float


def match(detections: Sequence[Detection], wanted: Sequence[Wanted]) -> list[Match | None]:
    """The matching detection of each wanted box, or None.

    Greedy by descending score: each detection takes the unmatched box of its phrase with the
    largest IoU. So a detection matches at most one box, and duplicates of a detection match none.
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
        if best is not None and overlaps[best] >= MATCH_IOU - ROUNDING:
            matches[best] = Match(index, overlaps[best])
    return matches
