"""The Frechet distance equals its closed form, and its features separate kinds of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shapes.drawing import draw
from shapes.recognition.frechet import features, frechet_distance
from shapes.sampler import World, sample_scene


def gaussian(mean: list[float], deviations: list[float], count: int = 1000) -> NDArray[np.float64]:
    """Uncorrelated samples with exactly this mean and these standard deviations."""
    raw = np.random.default_rng(0).normal(size=(count, len(mean)))
    raw -= raw.mean(0)
    raw = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return raw * deviations + mean


def test_the_closed_form_of_uncorrelated_gaussians() -> None:
    a, b = gaussian([0, 0, 1], [1, 2, 3]), gaussian([3, 4, 1], [2, 2, 5])
    assert frechet_distance(a, b) == pytest.approx(25 + 1 + 0 + 4)  # |m|^2 + sum (s_a - s_b)^2


def test_the_closed_form_of_correlated_gaussians() -> None:
    """Rotating both sets keeps the distance. Rotating one gives tr(A + B - 2 (A^1/2 B A^1/2)^1/2)."""
    a, b = gaussian([0, 0], [1, 3]), gaussian([1, 0], [2, 1])
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(a, b))
    quarter_turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert frechet_distance(a, a @ quarter_turn) == pytest.approx(2 * (1 - 3) ** 2)


def test_degenerate_and_equal_sets() -> None:
    flat = np.ones((5, 3))
    assert frechet_distance(flat, flat) == 0
    assert frechet_distance(flat, flat + np.array([1, 2, 2])) == pytest.approx(9)
    assert frechet_distance(gaussian([0, 1], [1, 2]), gaussian([0, 1], [1, 2])) == pytest.approx(0, abs=1e-9)


def test_sets_of_different_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 3\) and \(5, 2\)"):
        frechet_distance(np.ones((5, 3)), np.ones((5, 2)))


def test_features_are_deterministic() -> None:
    first = features(draw(sample_scene(World(), 0)))
    assert first.shape == (32,)
    assert first.dtype == np.float64
    assert np.array_equal(first, features(draw(sample_scene(World(), 0))))
    assert first[:3] == pytest.approx([0.756, -0.050, -0.631], abs=2e-3)


def test_distance_grows_with_the_difference() -> None:
    pictures = [draw(sample_scene(World(), index)) for index in range(120)]
    real, others = ([features(picture) for picture in part] for part in (pictures[:60], pictures[60:]))
    plain = [features(draw(sample_scene(World(patterns=("plain",)), index))) for index in range(60)]
    empty = [features(draw(sample_scene(World(instances=(0, 0)), index))) for index in range(60)]
    assert (
        frechet_distance(real, others) < frechet_distance(real, plain) / 2 < frechet_distance(real, empty) / 4
    )
