"""Instance feature success and average precision, with bootstrap intervals over pictures."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ifadapter_core.checking.matching import PixelBox
from shapes.recognition import bootstrap

from ..judge.picture_score import PictureScore

AP_RESAMPLES = 200  # fewer, because each one ranks all detections again
AP_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # COCO's thresholds
MAX_DETECTIONS = 100  # per phrase and picture; COCO's limit


@dataclass(frozen=True)
class Estimate:
    """A value and its uncertainty.

    value: the estimate.
    interval: 95 % bootstrap interval (low, high).
    """

    value: float
    interval: bootstrap.Interval


@dataclass(frozen=True)
class Precision:
    """COCO's average precision, 0..1.

    ap: mean over the IoU thresholds 0.5 to 0.95.
    ap50: at IoU 0.5.
    """

    ap: Estimate
    ap50: Estimate


def share(hits: ArrayLike, totals: ArrayLike) -> Estimate:
    """sum(hits) / sum(totals), 0..1, resampled over pictures.

    hits, totals: counts per picture, each (pictures,). Raises ValueError if all totals are 0.
    """
    if not np.sum(totals):
        raise ValueError("There are no instances to score. Build a benchmark whose layouts have instances.")
    return Estimate(bootstrap.rate(hits, totals), bootstrap.interval(bootstrap.resampled_rates(hits, totals)))


def mean(values: ArrayLike) -> Estimate:
    """Mean of one value per picture, (pictures,)."""
    values = np.asarray(values, np.float64)
    return Estimate(float(values.mean()), bootstrap.interval(values[bootstrap.picks(len(values))].mean(1)))


def feature_success(scores: Sequence[PictureScore], verifier: str) -> Estimate:
    """The paper's IFS: fraction of instances that were found and that the verifier accepts."""
    return share([score.successes(verifier) for score in scores], [len(score.instances) for score in scores])


def found_share(scores: Sequence[PictureScore]) -> Estimate:
    """Fraction of instances that were found at their boxes."""
    return share(
        [sum(instance.found for instance in score.instances) for score in scores],
        [len(score.instances) for score in scores],
    )


def unparsable(scores: Sequence[PictureScore], verifier: str) -> int:
    """Number of answers that were neither yes nor no."""
    return sum(
        instance.verdicts.get(verifier, False) is None for score in scores for instance in score.instances
    )


def average_precision(scores: Sequence[PictureScore]) -> Precision:
    """COCO's AP by pycocotools, class-agnostic.

    A detection can only match boxes of its own phrase; all detections are ranked together by score.
    Raises ValueError if there are no instances.
    """
    evaluation, owners = _coco_evaluation(scores)
    matched = evaluation.evalImgs
    value = _accumulate(evaluation, matched)

    # Resample pictures. Matching is per picture, so each resample only ranks the matched detections
    # again.
    by_picture = [
        [matched[place] for place in np.flatnonzero(owners == number)] for number in range(len(scores))
    ]
    resampled = []
    for picks in bootstrap.picks(len(scores), AP_RESAMPLES):
        sample = [each for number in picks for each in by_picture[number]]
        if any(len(each["gtIds"]) for each in sample):  # AP is undefined without instances
            resampled.append(_accumulate(evaluation, sample))
    columns = np.array(resampled)
    return Precision(
        Estimate(value[0], bootstrap.interval(columns[:, 0])),
        Estimate(value[1], bootstrap.interval(columns[:, 1])),
    )


def _coco_evaluation(scores: Sequence[PictureScore]) -> tuple[Any, NDArray[np.int64]]:
    """A COCOeval after matching, and the picture index of each of its images, (images,).

    Each pair of picture and phrase is an image of its own, so detections match boxes of their
    phrase only.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    owners: list[int] = []
    for number, score in enumerate(scores):
        first = len(owners) + 1
        phrases = [one.phrase for one in score.instances] + [one.phrase for one in score.detections]
        owners += [number] * (1 + max(phrases, default=-1))
        truths += [
            _annotation(len(truths) + place, first + one.phrase, one.box)
            for place, one in enumerate(score.instances, 1)
        ]
        found += [
            {**_annotation(len(found) + place, first + one.phrase, one.box), "score": one.score}
            for place, one in enumerate(score.detections, 1)
        ]
    if not truths:
        raise ValueError("There are no instances to score. Build a benchmark whose layouts have instances.")

    images = [{"id": number} for number in range(1, len(owners) + 1)]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        sets = []
        for annotations in (truths, found):
            coco = COCO()
            coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": annotations}
            coco.createIndex()
            sets.append(coco)
        evaluation = COCOeval(*sets, iouType="bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.iouThrs = np.array(AP_IOUS)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
    return evaluation, np.array(owners)


def _annotation(number: int, image: int, box: PixelBox) -> dict[str, Any]:
    """A box in COCO's annotation format."""
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
    """AP and AP50 of matched images; an image may occur more than once."""
    evaluation.evalImgs = list(matched)
    evaluation.params.imgIds = evaluation._paramsEval.imgIds = list(range(len(matched)))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # (IoUs, recalls)
    return float(precision.mean()), float(precision[0].mean())
