"""The bootstrap that the results, the studies and the evaluation share."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scores import GOOD, MISSING, scored

from evaluation.report.metrics import share
from shapes.evidence.numbers.intervals import rate as study_rate
from shapes.evidence.numbers.scores import MEASURES, Scores
from shapes.recognition import bootstrap
from shapes.results import summary

ONES = [scored(), scored(GOOD, MISSING), scored(), scored(GOOD), scored(MISSING)]


def test_all_three_reports_have_one_rule() -> None:
    """Pictures without instances among them: a resample of these alone has the rate 0."""
    hits, totals = [0, 1, 0, 1, 0], [0, 2, 0, 1, 1]
    expected = bootstrap.interval(bootstrap.resampled_rates(hits, totals))
    assert summary.rate(ONES, "success") == bootstrap.rate(hits, totals) == 0.5
    assert summary.interval(ONES) == expected
    assert share(hits, totals).interval == expected
    judged = np.zeros((4, len(MEASURES)), bool)
    judged[[0, 2], MEASURES.index("success")] = True
    found = study_rate(Scores(np.array(totals), judged, np.zeros((5, 2))), "success")
    assert (found.low, found.high) == expected


def test_nothing_of_nothing_is_zero() -> None:
    empty = [scored(), scored()]
    assert summary.rate(empty, "success") == 0
    assert summary.interval(empty) == (0, 0)
    assert summary.worst([*empty, scored(MISSING)], 1) == [2]


def test_the_interval_is_that_of_resampled_lists() -> None:
    rng = random.Random(0)
    totals = [rng.randint(0, 6) for _ in range(200)]
    hits = [sum(rng.random() < 0.6 for _ in range(total)) for total in totals]
    rates = []
    for _ in range(2000):
        drawn = rng.choices(range(200), k=200)
        rates.append(sum(hits[number] for number in drawn) / sum(totals[number] for number in drawn))
    rates.sort()
    found = bootstrap.interval(bootstrap.resampled_rates(hits, totals))
    assert found == pytest.approx((rates[50], rates[1949]), abs=0.01)
