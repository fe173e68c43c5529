"""Bootstrap intervals, against independent computations."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from shapes.evidence.numbers.intervals import difference, rate
from shapes.evidence.numbers.scores import MEASURES, PLACES, Scores

SUCCESS = MEASURES.index("success")


def scores(pictures: list[list[bool]]) -> Scores:
    """Pictures with instances that are judged right or not."""
    hits = np.zeros((sum(map(len, pictures)), len(MEASURES)), bool)
    hits[:, SUCCESS] = [right for picture in pictures for right in picture]
    return Scores(np.array([len(picture) for picture in pictures]), hits, np.zeros((len(pictures), 2)))


def random_pictures(count: int, chance: float, seed: int) -> list[list[bool]]:
    """Pictures whose instances are right or wrong together more often than by chance."""
    rng = random.Random(seed)
    pictures = []
    for _ in range(count):
        easier = 0.25 if rng.random() < 0.5 else -0.25
        pictures.append([rng.random() < chance + easier for _ in range(rng.randint(1, 6))])
    return pictures


def bootstrap(pictures: list[list[bool]], seed: int) -> tuple[float, float]:
    """95 % interval by resampling lists in plain Python."""
    rng, rates = random.Random(seed), []
    for _ in range(2000):
        drawn = [right for picture in rng.choices(pictures, k=len(pictures)) for right in picture]
        rates.append(sum(drawn) / len(drawn))
    rates.sort()
    return rates[50], rates[1949]


def test_the_interval_of_a_rate_is_that_of_an_independent_bootstrap_over_pictures() -> None:
    pictures = random_pictures(200, 0.6, 1)
    found, (low, high) = rate(scores(pictures), "success"), bootstrap(pictures, 7)
    flat = [right for picture in pictures for right in picture]
    assert found.value == pytest.approx(sum(flat) / len(flat))
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)


def test_the_interval_of_independent_instances_is_the_binomial_one() -> None:
    rng = random.Random(0)
    pictures = [[rng.random() < 0.3] for _ in range(400)]
    found = rate(scores(pictures), "success")
    half = 1.96 * math.sqrt(found.value * (1 - found.value) / 400)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_instances_of_one_picture_are_not_independent() -> None:
    """The same instances give a wider interval where each picture is all right or all wrong."""
    together = [[index % 2 == 0] * 4 for index in range(100)]
    apart = [[True, False, True, False] for _ in range(100)]
    wide, narrow = (rate(scores(pictures), "success") for pictures in (together, apart))
    assert wide.value == narrow.value == 0.5
    assert narrow.low == narrow.high == 0.5
    assert wide.high - wide.low > 0.15


def test_what_is_not_found_cannot_leak() -> None:
    hits = np.zeros((6, len(MEASURES)), bool)
    hits[:3, MEASURES.index("found")] = True
    hits[0, MEASURES.index("leaked")] = True
    found = Scores(np.array([4, 2]), hits, np.zeros((2, 2)))
    assert rate(found, "leaked").value == pytest.approx(1 / 3)
    assert rate(found, "found").value == 0.5
    lost = Scores(found.counts, np.zeros_like(hits), found.features)
    assert rate(lost, "leaked").value == 0
    assert difference(found, lost, "leaked").value == pytest.approx(1 / 3)


def test_a_difference_on_the_same_layouts_is_paired() -> None:
    base = random_pictures(150, 0.5, 3)
    one_better = [[True, *picture[1:]] for picture in base]
    paired = difference(scores(one_better), scores(base), "success")
    unpaired = difference(scores(one_better), scores(base), "success", paired=False)
    assert paired.value == unpaired.value > 0
    assert paired.low > 0
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_a_condition_does_not_differ_from_itself() -> None:
    same = scores(random_pictures(50, 0.5, 0))
    found = difference(same, same, "success")
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_other_layouts_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="not of the same layouts"):
        difference(scores([[True], [True]]), scores([[True, False], [True]]), "success")


def test_the_groups_of_a_layout_are_by_depth() -> None:
    pictures = [[True], [True, False], [True, False, False, True]]
    found = {group: scores(pictures).chosen(group).nonzero()[0].tolist() for group in PLACES}
    assert found == {"back": [1, 3], "middle": [4, 5], "front": [2, 6]}
    assert rate(scores(pictures), "success", "back").value == 1
    assert rate(scores(pictures), "success", "front").value == 0.5
    with pytest.raises(ValueError, match="No instance is in the group middle"):
        rate(scores(pictures[:2]), "success", "middle")
