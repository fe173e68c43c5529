"""Bootstrap intervals of the results, the studies and the evaluation. The unit is the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)  # of a 95 % interval

Interval = tuple[float, float]  # low, high


def rate(hits: ArrayLike, totals: ArrayLike) -> float:
    """sum(hits) / sum(totals), of counts per picture (P,); 0 if all totals are 0."""
    return float(np.sum(hits) / max(np.sum(totals), 1))


def resampled_rates(hits: ArrayLike, totals: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """``rate`` of each resample: (RESAMPLES,). Equal seeds pick the same pictures."""
    hits, totals = np.asarray(hits), np.asarray(totals)
    picked = picks(len(hits), seed=seed)
    return hits[picked].sum(1) / np.maximum(totals[picked].sum(1), 1)


def picks(count: int, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.int64]:
    """Numbers of resampled pictures out of ``count``: (resamples, count)."""
    return np.random.Generator(np.random.PCG64(seed)).integers(count, size=(resamples, count))


def interval(values: NDArray[np.float64]) -> Interval:
    """95 % percentile interval of the values of all resamples."""
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)
