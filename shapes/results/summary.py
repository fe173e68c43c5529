"""The scores of many pictures, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..recognition import bootstrap
from ..recognition.average_precision import ap50
from ..recognition.frechet import frechet_distance
from ..scene import Scene
from .confusion import VALUES, confusion
from .picture_score import MEASURES, PictureScore

BARS = ("success", "drawn_well")  # measures with an interval, and by number of instances


def rate(scores: Sequence[PictureScore], measure: str) -> float:
    """Fraction of all instances that have a measure, 0..1; 0 without instances."""
    return bootstrap.rate(*_counts(scores, measure))


def interval(scores: Sequence[PictureScore], measure: str = "success") -> bootstrap.Interval:
    """95 % bootstrap interval of a rate, resampling whole pictures with a fixed seed."""
    return bootstrap.interval(bootstrap.resampled_rates(*_counts(scores, measure)))


def _counts(scores: Sequence[PictureScore], measure: str) -> tuple[list[int], list[int]]:
    """Instances with the measure, and all, of each picture."""
    hits = [sum(instance.has(measure) for instance in one.instances) for one in scores]
    return hits, [len(one.instances) for one in scores]


def summarize(
    scores: Sequence[PictureScore], scenes: Sequence[Scene], reference: NDArray[np.float64]
) -> dict[str, Any]:
    """The scores of one row of the tables; rates are 0..1.

    reference: features (pictures, F) of real drawings.
    ``psnr_db`` is the mean over pictures, None if one equals its drawing. ``ap50`` is of the
    pictures on which the detector ran, None if there are none.
    """
    instances = [instance for one in scores for instance in one.instances]
    by_count: dict[int, list[PictureScore]] = {}
    for one, scene in zip(scores, scenes, strict=True):
        by_count.setdefault(len(scene.figures), []).append(one)
    groups = sorted(by_count.items())
    psnr = float(np.mean([one.psnr_db for one in scores]))
    return {
        **{measure: rate(scores, measure) for measure in MEASURES},
        **{f"{bar}_interval": interval(scores, bar) for bar in BARS},
        **{f"{bar}_by_instances": {str(count): rate(group, bar) for count, group in groups} for bar in BARS},
        "ap50": _ap50(scores, scenes),
        "frechet": frechet_distance(np.stack([one.features for one in scores]), reference),
        "psnr_db": psnr if math.isfinite(psnr) else None,
        "confusion": {attribute: confusion(instances, attribute) for attribute in VALUES},
        "pictures": len(scores),
        "instances": len(instances),
    }


def _ap50(scores: Sequence[PictureScore], scenes: Sequence[Scene]) -> float | None:
    pairs = [(one.detections, scene) for one, scene in zip(scores, scenes, strict=True)]
    detected = [(found, scene.figures) for found, scene in pairs if found is not None]
    return ap50([found for found, _ in detected], [figures for _, figures in detected]) if detected else None


def worst(scores: Sequence[PictureScore], count: int) -> list[int]:
    """Indices of the worst pictures: by the share of instances judged right, then by agreement."""

    def quality(index: int) -> tuple[float, float]:
        instances = scores[index].instances
        if not instances:
            return 1.0, 1.0  # nothing is wrong
        right = [one.verdict.success for one in instances]
        return float(np.mean(right)), float(np.mean([one.agreement for one in instances]))

    return sorted(range(len(scores)), key=quality)[:count]
