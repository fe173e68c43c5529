"""Which detection serves which wanted box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifadapter_core.geometry import box_iou

from .detector import Detection, PixelBox

MATCH_IOU = 0.5  # the paper's, section 4
ROUNDING = 1e-9  # boxes went through fractions of the canvas


@dataclass(frozen=True)
class Wanted:
    """A box, in pixels of the picture, and the number of the phrase that should be found there."""

    box: PixelBox
    phrase: int


@dataclass(frozen=True)
class Match:
    """detection: its number."""

    detection: int
    iou: float


def match(detections: Sequence[Detection], wanted: Sequence[Wanted]) -> list[Match | None]:
    """For each wanted box the detection of its phrase that serves it, or None.

    The detection with the highest score chooses first, and takes the box that it overlaps most of those still open; so it serves
    one box, and another detection of the same thing serves none.
    """
    matches: list[Match | None] = [None] * len(wanted)
    for number in sorted(range(len(detections)), key=lambda number: -detections[number].score):
        found = detections[number]
        overlaps = {
            place: box_iou(found.box, each.box)
            for place, each in enumerate(wanted)
            if each.phrase == found.phrase and matches[place] is None
        }
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] >= MATCH_IOU - ROUNDING:
            matches[best] = Match(number, overlaps[best])
    return matches
