"""Frechet distance of two sets of pictures (Heusel et al. 2017), with features of our own.

The features are fixed, not learned: colours and edge strengths in parts of the picture at several
scales, mixed by a fixed random projection. Distances are comparable with each other only, not with
an FID of Inception features.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import ArrayLike, NDArray

from .colours import evidence, lab, unit_rgb
from .fitting import cell_means
from .templates import Floats, Grid

FEATURES = 32
LAB_SCALE = 50.0  # L*a*b* units per unit of a feature
EDGE_SCALE = 5.0  # L*a*b* units of mean difference per unit of a feature
EDGE_STEPS = (1, 2, 4)  # pixels between compared neighbors
EDGE_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (down, right)


def features(picture: ArrayLike) -> NDArray[np.float64]:
    """Features of a picture (H, W, 3) of bytes, or of floats in 0..1: (32,)."""
    pixels = lab(unit_rgb(picture))
    parts = [_part_means(pixels, 4) / LAB_SCALE, _part_means(evidence(picture), 2)]
    for step in EDGE_STEPS:
        for down, right in EDGE_DIRECTIONS:
            edges = np.abs(pixels - np.roll(pixels, (-step * down, -step * right), (0, 1)))
            parts.append(_part_means(edges[step:-step, step:-step], 2) / EDGE_SCALE)
    raw = np.concatenate([part.reshape(-1) for part in parts]).astype(np.float64)
    return raw @ _projection(len(raw))


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) of features (pictures, F), in float64.

    Raises ValueError if the sets have different F or fewer than two pictures.
    """
    a, b = (np.asarray(values, np.float64) for values in (features_a, features_b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"Expected two sets of at least two features of the same length, got {a.shape} and {b.shape}."
        )
    covariance_a, covariance_b = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (a, b))
    # tr (S_a S_b)^(1/2) by the eigenvalues of the symmetric S_a^(1/2) S_b S_a^(1/2).
    root = _square_root(covariance_a)
    cross_trace = np.sqrt(np.clip(np.linalg.eigvalsh(root @ covariance_b @ root), 0, None)).sum()
    mean_distance = np.square(a.mean(0) - b.mean(0)).sum()
    distance = mean_distance + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross_trace
    return max(float(distance), 0.0)


def _part_means(maps: Floats, parts: int) -> Floats:
    """Means of maps (H, W, C) over parts x parts equal areas of the picture: (parts * parts, C)."""
    whole = np.array([[0, 0, maps.shape[1], maps.shape[0]]], np.float32)
    return cell_means(maps, whole, Grid(parts, 0))[0]


@lru_cache
def _projection(length: int) -> NDArray[np.float64]:
    """Fixed random signs, scaled to preserve lengths on average: (length, 32)."""
    return np.where(Generator(PCG64(0)).random((length, FEATURES)) < 0.5, -1.0, 1.0) / np.sqrt(FEATURES)


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
