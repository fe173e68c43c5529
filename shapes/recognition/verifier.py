"""The judge: recognizes the figure at each box, then compares it with the expected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ifadapter_core.geometry import box_iou

from ..scene import Figure
from .colours import evidence
from .fitting import Fit, covered_pixels, fit

FOUND_SCORE = 0.5  # minimum score of a recognized figure
FOUND_IOU = 0.5  # minimum IoU with the expected box
ATTRIBUTES = ("found", "shape", "colour", "pattern", "pattern_colour")  # fields of a verdict


@dataclass(frozen=True)
class AttributeVerdict:
    """What is right about one instance. All fields are False if the instance was not found.

    found: a figure was recognized at the box.
    shape: its shape is right.
    colour: its main colour is right.
    pattern: its pattern is right.
    pattern_colour: its pattern colour is right; for a plain figure, it has none.
    """

    found: bool
    shape: bool
    colour: bool
    pattern: bool
    pattern_colour: bool

    @property
    def success(self) -> bool:
        """Found, with every attribute right."""
        return all(getattr(self, name) for name in ATTRIBUTES)


def classify(picture: ArrayLike, boxes: Sequence[Sequence[float]]) -> list[Fit]:
    """The best explanation at each box of a picture (H, W, 3) of bytes, or of floats in 0..1.

    Boxes are in pixels, from back to front. The front one is recognized first; a figure with at
    least FOUND_SCORE occludes those behind it.
    """
    maps = evidence(picture)
    occluded = np.zeros(maps.shape[:2], bool)
    fits = []
    for box in reversed(boxes):
        found = fit(maps, occluded, box)
        if found.score >= FOUND_SCORE:
            occluded |= covered_pixels(found, *maps.shape[:2])
        fits.append(found)
    return fits[::-1]


def judge(found: Fit, expected: Figure) -> AttributeVerdict:
    """Compare a recognized with the expected figure."""
    if found.score < FOUND_SCORE or box_iou(found.box, expected.box_px) < FOUND_IOU:
        return AttributeVerdict(False, False, False, False, False)
    actual, wanted = found.attributes, expected.attributes
    return AttributeVerdict(
        True,
        actual.shape == wanted.shape,
        actual.colour == wanted.colour,
        actual.pattern == wanted.pattern,
        actual.pattern_colour == wanted.pattern_colour,
    )


def verify(picture: ArrayLike, expected: Sequence[Figure]) -> list[AttributeVerdict]:
    """Judge each expected figure, from back to front, of a picture (H, W, 3)."""
    fits = classify(picture, [figure.box_px for figure in expected])
    return [judge(found, figure) for found, figure in zip(fits, expected, strict=True)]
