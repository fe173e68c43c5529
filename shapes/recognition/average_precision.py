"""Average precision of detections."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np

from ifadapter_core.geometry import box_iou

from ..scene import Attributes, Figure
from .fitting import Fit

AP_IOU = 0.5


def ap50(
    detections: Sequence[Sequence[Fit]],
    truths: Sequence[Sequence[Figure]],
    alike: Callable[[Attributes, Attributes], bool] = operator.eq,
) -> float:
    """Average precision at IoU 0.5 over pictures: the area under the envelope of precision over recall, 0..1.

    detections and truths: one list per picture. All detections of all pictures are ranked together by their scores; one
    is right if it has the attributes of a truth of its picture (``alike``), overlaps it enough, and no better one did.
    """
    total = sum(map(len, truths))
    if not total:
        raise ValueError("Average precision needs at least one true figure.")
    ranked = sorted(
        ((found, number) for number, picture in enumerate(detections) for found in picture),
        key=lambda entry: entry[0].score,
        reverse=True,
    )
    open_truths = [list(picture) for picture in truths]
    right = np.zeros(len(ranked))
    for rank, (found, number) in enumerate(ranked):
        fitting = [
            truth
            for truth in open_truths[number]
            if alike(found.attributes, truth.attributes) and box_iou(found.box, truth.box_px) >= AP_IOU
        ]
        if fitting:
            open_truths[number].remove(max(fitting, key=lambda truth: box_iou(found.box, truth.box_px)))
            right[rank] = 1
    precision = right.cumsum() / np.arange(1, len(ranked) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right).sum() / total)
