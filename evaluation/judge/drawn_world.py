"""Programs in the place of a detection model and a vision-language model, for the drawn world of the small models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from ifadapter_core.layout import Layout
from shapes.descriptions import read_description
from shapes.recognition.detection import detect
from shapes.recognition.verifier import FOUND_SCORE, classify
from shapes.scene import BACKGROUNDS, Attributes, Figure

from ..benchmark import Benchmark
from .detector import Detection
from .scorer import pixel_box
from .verifier import Verdict

RIM = 0.2  # of plain ground around a crop, in parts of its longer side


class ShapesDetector:
    """Finds all figures; one answers every phrase that names its shape, the better the more else of the phrase it has."""

    name = "shapes"

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        """Raises ValueError when a phrase is not of this world."""
        asked = [attributes_of(phrase) for phrase in phrases]
        return [
            Detection(found.box, found.score * _likeness(found.attributes, wanted), number)
            for found in detect(np.asarray(picture.convert("RGB")))
            for number, wanted in enumerate(asked)
            if found.attributes.shape == wanted.shape
        ]


class ShapesVerifier:
    """Says yes when the figure that fills the crop has the shape, the colours and the pattern that are told.

    A crop does not tell what stands in front of what, and the outline ends at its edges: it is looked at as it is and with plain ground
    around. Of real drawings with much overlap some are called wrong; score ``real/`` to see how many.
    """

    name = "shapes"

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        """There is no telling when the description is not of this world."""
        wanted = read_description(description)
        if wanted is None:
            return Verdict(None)
        rim = round(RIM * max(crop.size))
        return Verdict(any(self._shows(crop.convert("RGB"), border, wanted) for border in (0, rim)))

    def _shows(self, crop: Image.Image, border: int, wanted: Attributes) -> bool:
        picture = ImageOps.expand(crop, border, BACKGROUNDS["grey"])
        (found,) = classify(
            np.asarray(picture), [(border, border, border + crop.width, border + crop.height)]
        )
        return found.score >= FOUND_SCORE and found.attributes == wanted


def check_world(benchmark: Benchmark) -> None:
    """Raises ValueError when an instance of the benchmark is no figure of this world."""
    for entry in benchmark.entries:
        for description in entry.layout.local_descriptions:
            attributes_of(description)


def attributes_of(description: str) -> Attributes:
    """Raises ValueError when a description is not of this world."""
    attributes = read_description(description)
    if attributes is None:
        raise ValueError(
            f"{description!r} names no figure of the drawn world. Take a benchmark of `python -m evaluation build --world shapes`, or "
            "score this one by models."
        )
    return attributes


def figures_of(layout: Layout, size: tuple[int, int]) -> list[Figure]:
    """What a picture of this width and height should show, from back to front."""
    return [
        Figure(
            attributes_of(instance.local_description),
            _whole(pixel_box(instance.box, size)),
            instance.local_description,
        )
        for instance in layout.instances
    ]


def _whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = map(round, box)
    return x0, y0, x1, y1


def _likeness(seen: Attributes, wanted: Attributes) -> float:
    """The part of the attributes that agree."""
    pairs = [
        (getattr(seen, name), getattr(wanted, name))
        for name in ("shape", "colour", "pattern", "pattern_colour")
    ]
    return sum(a == b for a, b in pairs) / len(pairs)
