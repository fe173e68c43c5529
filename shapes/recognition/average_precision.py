"""Average precision of detections."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np

from ifadapter_core.geometry import box_iou

from ..scene import Attributes, Figure
from .fitting import Fit

AP_IOU = 0.5  # minimum IoU of a match


def ap50(
    detections: Sequence[Sequence[Fit]],
    truths: Sequence[Sequence[Figure]],
    same: Callable[[Attributes, Attributes], bool] = operator.eq,
) -> float:
    """Average precision at IoU 0.5: the area under the envelope of precision over recall, 0..1.

    detections, truths: one list per picture. Detections of all pictures are ranked by score. Each
    is matched to at most one free figure of its picture, with the same attributes and the highest
    IoU of at least 0.5.
    same: decides whether attributes agree.

    Raises ValueError if there is no true figure.
    """
    total = sum(map(len, truths))
    if not total:
        raise ValueError("Average precision needs at least one true figure.")
    ranked = sorted(
        ((found, number) for number, picture in enumerate(detections) for found in picture),
        key=lambda entry: entry[0].score,
        reverse=True,
    )
    unmatched = [list(picture) for picture in truths]
    correct = np.zeros(len(ranked))
    for rank, (found, number) in enumerate(ranked):
        matches = [
            truth
            for truth in unmatched[number]
            if same(found.attributes, truth.attributes) and box_iou(found.box, truth.box_px) >= AP_IOU
        ]
        if matches:
            unmatched[number].remove(max(matches, key=lambda truth: box_iou(found.box, truth.box_px)))
            correct[rank] = 1
    precision = correct.cumsum() / np.arange(1, len(ranked) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * correct).sum() / total)
