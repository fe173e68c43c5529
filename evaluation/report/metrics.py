"""Numbers out of the scores of pictures: instance feature success and average precision, with bootstrap intervals over pictures."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..judge.picture_score import PictureScore

RESAMPLES = 2000
AP_RESAMPLES = 200  # each ranks all detections again
CONFIDENCE = (2.5, 97.5)  # percentiles
AP_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # COCO's
MOST_DETECTIONS = 100  # of a phrase in a picture; COCO's

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % bootstrap interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Precision:
    """COCO's average precision, 0..1: the mean over IoU 0.5 to 0.95, and that at 0.5."""

    ap: Estimate
    ap50: Estimate


def share(hits: ArrayLike, totals: ArrayLike) -> Estimate:
    """The part of the instances that hits are, 0..1, from both numbers for each picture: (pictures)."""
    hits, totals = np.asarray(hits, np.float64), np.asarray(totals, np.float64)
    if not totals.sum():
        raise ValueError("There are no instances to score. Build the benchmark with layouts that have some.")
    picks = _picks(len(hits), RESAMPLES)
    return Estimate(
        float(hits.sum() / totals.sum()), _interval(hits[picks].sum(1) / np.maximum(totals[picks].sum(1), 1))
    )


def mean(values: ArrayLike) -> Estimate:
    """Of one value for each picture: (pictures)."""
    values = np.asarray(values, np.float64)
    return Estimate(float(values.mean()), _interval(values[_picks(len(values), RESAMPLES)].mean(1)))


def feature_success(scores: Sequence[PictureScore], verifier: str) -> Estimate:
    """The paper's IFS: the part of the wanted instances that were found and that the verifier calls right."""
    return share([score.successes(verifier) for score in scores], [len(score.instances) for score in scores])


def found_share(scores: Sequence[PictureScore]) -> Estimate:
    return share(
        [sum(instance.found for instance in score.instances) for score in scores],
        [len(score.instances) for score in scores],
    )


def unparsable(scores: Sequence[PictureScore], verifier: str) -> int:
    """Answers that told neither yes nor no."""
    return sum(
        instance.verdicts.get(verifier, False) is None for score in scores for instance in score.instances
    )


def average_precision(scores: Sequence[PictureScore]) -> Precision:
    """By pycocotools. A detection can only be right for the phrase that it answers; all are ranked together by their scores."""
    evaluation, owners = _coco_evaluation(scores)
    matched = evaluation.evalImgs
    value = _accumulate(evaluation, matched)
    by_picture = [
        [matched[place] for place in np.flatnonzero(owners == number)] for number in range(len(scores))
    ]
    resampled = []
    for picks in _picks(len(scores), AP_RESAMPLES):
        drawn = [each for number in picks for each in by_picture[number]]
        if any(len(each["gtIds"]) for each in drawn):  # some pictures may have no instances
            resampled.append(_accumulate(evaluation, drawn))
    columns = np.array(resampled)
    return Precision(
        Estimate(value[0], _interval(columns[:, 0])), Estimate(value[1], _interval(columns[:, 1]))
    )


def _coco_evaluation(scores: Sequence[PictureScore]) -> tuple[Any, NDArray[np.int64]]:
    """A COCOeval that has matched, in which each phrase of each picture is an image; and the pictures' numbers by these images."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    owners: list[int] = []
    for number, score in enumerate(scores):
        first = len(owners) + 1
        owners += [number] * (
            1 + max((one.phrase for one in (*score.instances, *score.detections)), default=-1)
        )
        truths += [
            _annotation(len(truths) + place, first + one.phrase, one.box)
            for place, one in enumerate(score.instances, 1)
        ]
        found += [
            {**_annotation(len(found) + place, first + one.phrase, one.box), "score": one.score}
            for place, one in enumerate(score.detections, 1)
        ]
    if not truths:
        raise ValueError("There are no instances to score. Build the benchmark with layouts that have some.")
    images = [{"id": number} for number in range(1, len(owners) + 1)]
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
        sets = []
        for annotations in (truths, found):
            coco = COCO()
            coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": annotations}
            coco.createIndex()
            sets.append(coco)
        evaluation = COCOeval(*sets, iouType="bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.iouThrs = np.array(AP_IOUS)
        evaluation.params.maxDets = [MOST_DETECTIONS]
        evaluation.evaluate()
    return evaluation, np.array(owners)


def _annotation(number: int, image: int, box: tuple[float, float, float, float]) -> dict[str, Any]:
    width, height = box[2] - box[0], box[3] - box[1]
    area = width * height
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [box[0], box[1], width, height],
        "area": area,
        "iscrowd": 0,
    }


def _accumulate(evaluation: Any, matched: Sequence[Any]) -> tuple[float, float]:
    """AP and AP50 of what was matched in some images, which may occur more than once."""
    numbers = list(range(len(matched)))
    evaluation.evalImgs = list(matched)
    evaluation.params.imgIds = evaluation._paramsEval.imgIds = numbers
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # (IoUs, recalls)
    return float(precision.mean()), float(precision[0].mean())


def _picks(count: int, resamples: int) -> NDArray[np.int64]:
    """Pictures drawn with replacement, always the same: (resamples, count)."""
    return np.random.Generator(np.random.PCG64(0)).integers(count, size=(resamples, count))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, CONFIDENCE)
    return float(low), float(high)
