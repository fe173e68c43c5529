"""Detector and verifier for the drawn world: programs instead of models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from ifadapter_core.checking.matching import Detection, pixel_box
from ifadapter_core.layout import Layout
from shapes.descriptions import read_description
from shapes.recognition.detection import detect
from shapes.recognition.verifier import FOUND_SCORE, classify
from shapes.scene import BACKGROUNDS, Attributes, Figure

from ..benchmark import Benchmark
from .verifier import Verdict

MARGIN = 0.2  # plain background around a crop, as a fraction of its longer side


class ShapesDetector:
    """Detects all figures.

    A figure matches every phrase with its shape; equal attributes raise the score.
    """

    name = "shapes"

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        """Raises ValueError if a phrase does not describe a figure of the drawn world."""
        wanted = [attributes_of(phrase) for phrase in phrases]
        return [
            Detection(found.box, found.score * _similarity(found.attributes, attributes), index)
            for found in detect(np.asarray(picture.convert("RGB")))
            for index, attributes in enumerate(wanted)
            if found.attributes.shape == attributes.shape
        ]


class ShapesVerifier:
    """Accepts a crop if the figure that fills it has the described shape, colours and pattern.

    A crop does not show the depth order and cuts the outline off at its edges, so it is classified
    as it is and with a margin of plain background. Some real drawings with much overlap are
    rejected; score ``real/`` to see how many.
    """

    name = "shapes"

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        """``fits`` is None if the description is not of the drawn world."""
        wanted = read_description(description)
        if wanted is None:
            return Verdict(None)
        margin = round(MARGIN * max(crop.size))
        return Verdict(any(self._shows(crop.convert("RGB"), border, wanted) for border in (0, margin)))

    def _shows(self, crop: Image.Image, border: int, wanted: Attributes) -> bool:
        """border: pixels of plain background to add on each side."""
        picture = ImageOps.expand(crop, border, BACKGROUNDS["grey"])
        box = (border, border, border + crop.width, border + crop.height)
        (found,) = classify(np.asarray(picture), [box])
        return found.score >= FOUND_SCORE and found.attributes == wanted


def check_world(benchmark: Benchmark) -> None:
    """Raises ValueError if an instance of the benchmark is not a figure of the drawn world."""
    for entry in benchmark.entries:
        for description in entry.layout.local_descriptions:
            attributes_of(description)


def attributes_of(description: str) -> Attributes:
    """Raises ValueError if the description is not of the drawn world."""
    attributes = read_description(description)
    if attributes is None:
        raise ValueError(
            f"{description!r} is not a figure of the drawn world. Use a benchmark built with "
            "`python -m evaluation build --world shapes`, or score this one with models."
        )
    return attributes


def figures_of(layout: Layout, size: tuple[int, int]) -> list[Figure]:
    """The figures that a picture of the layout should show, from back to front.

    size: width and height of the picture in pixels.
    """
    return [
        Figure(
            attributes_of(instance.local_description),
            _rounded(pixel_box(instance.box, size)),
            instance.local_description,
        )
        for instance in layout.instances
    ]


def _rounded(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = map(round, box)
    return x0, y0, x1, y1


def _similarity(seen: Attributes, wanted: Attributes) -> float:
    """Fraction of equal attributes, 0..1."""
    names = ("shape", "colour", "pattern", "pattern_colour")
    return sum(getattr(seen, name) == getattr(wanted, name) for name in names) / len(names)
