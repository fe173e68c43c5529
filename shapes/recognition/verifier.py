"""Tells what a picture shows where a layout wants instances, and only then compares that with what was wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ifadapter_core.geometry import box_iou

from ..scene import Figure
from .colours import evidence
from .fitting import Fit, covered, fit

FOUND_SCORE = 0.5  # a fit below this is no figure
FOUND_IOU = 0.5
ATTRIBUTES = ("found", "shape", "colour", "pattern", "pattern_colour")  # of a verdict


@dataclass(frozen=True)
class AttributeVerdict:
    """Which parts of one instance came out as wanted. An instance that was not found has no attribute right."""

    found: bool
    shape: bool
    colour: bool
    pattern: bool
    pattern_colour: bool

    @property
    def success(self) -> bool:
        return all(getattr(self, name) for name in ATTRIBUTES)


def classify(picture: ArrayLike, boxes: Sequence[Sequence[float]]) -> list[Fit]:
    """What a picture (H, W, 3), bytes or floats in 0..1, shows at each box (pixels, from back to front).

    The nearest instance is looked at first; where it was found, those behind it are not expected to be seen.
    """
    maps = evidence(picture)
    hidden = np.zeros(maps.shape[:2], bool)
    fits = []
    for box in reversed(boxes):
        found = fit(maps, hidden, box)
        if found.score >= FOUND_SCORE:
            hidden |= covered(found, *maps.shape[:2])
        fits.append(found)
    return fits[::-1]


def judge(found: Fit, wanted: Figure) -> AttributeVerdict:
    """Compare what was found with what was wanted."""
    if found.score < FOUND_SCORE or box_iou(found.box, wanted.box_px) < FOUND_IOU:
        return AttributeVerdict(False, False, False, False, False)
    seen, asked = found.attributes, wanted.attributes
    return AttributeVerdict(
        True,
        seen.shape == asked.shape,
        seen.colour == asked.colour,
        seen.pattern == asked.pattern,
        seen.pattern_colour == asked.pattern_colour,
    )


def verify(picture: ArrayLike, wanted: Sequence[Figure]) -> list[AttributeVerdict]:
    """Judge each figure (from back to front) that a picture (H, W, 3) should show."""
    fits = classify(picture, [figure.box_px for figure in wanted])
    return [judge(found, figure) for found, figure in zip(fits, wanted, strict=True)]
