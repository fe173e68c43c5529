"""Matching of detections to the boxes of a layout."""

from __future__ import annotations

import pytest

from ifadapter_core.checking.matching import Detection, Match, PixelBox, Wanted, match

BOX = (10.0, 20.0, 110.0, 70.0)


def shifted(box: PixelBox, iou: float) -> PixelBox:
    """The box moved right until its IoU with the original is ``iou``.

    The IoU of a shift by a fraction s of the width is (1 - s) / (1 + s).
    """
    offset = (1 - iou) / (1 + iou) * (box[2] - box[0])
    return box[0] + offset, box[1], box[2] + offset, box[3]


@pytest.mark.parametrize(("iou", "found"), [(0.49, False), (0.5, True), (0.51, True)])
def test_a_match_needs_an_iou_of_half(iou: float, found: bool) -> None:
    assert match([Detection(shifted(BOX, iou), 0.9, 0)], [Wanted(BOX, 0)]) == [
        Match(0, pytest.approx(iou)) if found else None
    ]


def test_a_detection_matches_its_own_phrase_only() -> None:
    assert match([Detection(BOX, 0.9, 1)], [Wanted(BOX, 0)]) == [None]


def test_duplicate_detections_change_nothing() -> None:
    assert match(
        [Detection(shifted(BOX, 0.7), 0.3, 0), Detection(BOX, 0.9, 0), Detection(BOX, 0.5, 0)],
        [Wanted(BOX, 0)],
    ) == [Match(1, 1.0)]


def test_a_detection_matches_at_most_one_box() -> None:
    wanted = [Wanted(shifted(BOX, 0.8), 0), Wanted(BOX, 0)]
    assert match([Detection(BOX, 0.9, 0)], wanted) == [None, Match(0, 1.0)]
    both = match([Detection(BOX, 0.9, 0), Detection(BOX, 0.4, 0)], wanted)
    assert both == [Match(1, pytest.approx(0.8)), Match(0, 1.0)]


def test_the_highest_score_chooses_first() -> None:
    wanted = [Wanted(BOX, 0), Wanted(shifted(BOX, 0.6), 0)]
    far, near = Detection(shifted(BOX, 0.9), 0.9, 0), Detection(BOX, 0.5, 0)
    assert [found and found.detection for found in match([near, far], wanted)] == [1, 0]


def test_no_detections_and_no_boxes() -> None:
    assert match([], [Wanted(BOX, 0)]) == [None]
    assert match([Detection(BOX, 1.0, 0)], []) == []
