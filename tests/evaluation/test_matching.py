"""Detections find the boxes that they serve."""

from __future__ import annotations

import pytest

from evaluation.judge.detector import Detection, PixelBox
from evaluation.judge.matching import Match, Wanted, match

BOX = (10.0, 20.0, 110.0, 70.0)


def shifted(box: PixelBox, iou: float) -> PixelBox:
    """To the right, until the two have this IoU: with the part s of the width, (1 - s) / (1 + s)."""
    offset = (1 - iou) / (1 + iou) * (box[2] - box[0])
    return box[0] + offset, box[1], box[2] + offset, box[3]


@pytest.mark.parametrize(("iou", "found"), [(0.49, False), (0.5, True), (0.51, True)])
def test_a_detection_serves_what_it_overlaps_by_half(iou: float, found: bool) -> None:
    assert match([Detection(shifted(BOX, iou), 0.9, 0)], [Wanted(BOX, 0)]) == [
        Match(0, pytest.approx(iou)) if found else None
    ]


def test_only_its_own_phrase_counts() -> None:
    assert match([Detection(BOX, 0.9, 1)], [Wanted(BOX, 0)]) == [None]


def test_duplicates_change_nothing() -> None:
    assert match(
        [Detection(shifted(BOX, 0.7), 0.3, 0), Detection(BOX, 0.9, 0), Detection(BOX, 0.5, 0)],
        [Wanted(BOX, 0)],
    ) == [Match(1, 1.0)]


def test_one_detection_serves_one_box() -> None:
    wanted = [Wanted(shifted(BOX, 0.8), 0), Wanted(BOX, 0)]
    assert match([Detection(BOX, 0.9, 0)], wanted) == [None, Match(0, 1.0)]
    both = match([Detection(BOX, 0.9, 0), Detection(BOX, 0.4, 0)], wanted)
    assert both == [Match(1, pytest.approx(0.8)), Match(0, 1.0)]


def test_the_higher_score_chooses_first() -> None:
    wanted = [Wanted(BOX, 0), Wanted(shifted(BOX, 0.6), 0)]
    far, near = Detection(shifted(BOX, 0.9), 0.9, 0), Detection(BOX, 0.5, 0)
    assert [served and served.detection for served in match([near, far], wanted)] == [1, 0]


def test_nothing_found_and_nothing_wanted() -> None:
    assert match([], [Wanted(BOX, 0)]) == [None]
    assert match([Detection(BOX, 1.0, 0)], []) == []
