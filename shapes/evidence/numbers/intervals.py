"""Bootstrap intervals of rates and of their differences. The unit is the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...recognition import bootstrap
from .scores import ALL, LEAKED, MEASURES, Scores


@dataclass(frozen=True)
class Estimate:
    """A rate or a difference of rates, with its 95 % interval. All in 0..1, or -1..1."""

    value: float
    low: float
    high: float

    def as_list(self) -> list[float]:
        return [self.value, self.low, self.high]


def rate(scores: Scores, measure: str, group: str = ALL) -> Estimate:
    """The share of the group's instances that have a measure; of those found, for LEAKED.

    Raises ValueError if the group is empty.
    """
    hits, totals = _per_picture(scores, measure, group)
    return _estimate(bootstrap.rate(hits, totals), bootstrap.resampled_rates(hits, totals))


def difference(a: Scores, b: Scores, measure: str, group: str = ALL, paired: bool = True) -> Estimate:
    """The rate of a minus that of b.

    paired: whether both have pictures of the same layouts; these are then resampled together, which
        gives narrower intervals.
    """
    parts = [_per_picture(scores, measure, group) for scores in (a, b)]
    if paired and not np.array_equal(a.counts, b.counts):
        raise ValueError("The pictures are not of the same layouts; expected paired=False.")
    rates = [bootstrap.rate(*part) for part in parts]
    seeds = (0, 0) if paired else (0, 1)
    resampled = [bootstrap.resampled_rates(*part, seed) for part, seed in zip(parts, seeds, strict=True)]
    return _estimate(rates[0] - rates[1], resampled[0] - resampled[1])


def _per_picture(scores: Scores, measure: str, group: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Instances with the measure, and those that can have it: (P,) each."""
    chosen, pictures = scores.chosen(group), len(scores.counts)
    if not chosen.any():
        raise ValueError(f"No instance is in the group {group}.")
    if measure == LEAKED:  # what is not found cannot leak, and would flatter a method that finds little
        chosen = chosen & scores.hits[:, MEASURES.index("found")]
    owner = scores.picture[chosen]
    hits = scores.hits[chosen, MEASURES.index(measure)].astype(np.float64)
    totals = np.bincount(owner, minlength=pictures).astype(np.float64)
    return np.bincount(owner, weights=hits, minlength=pictures).astype(np.float64), totals


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    return Estimate(value, *bootstrap.interval(resampled))
