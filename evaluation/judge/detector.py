"""The interface of detectors: find phrases in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

PixelBox = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the picture


@dataclass(frozen=True)
class Detection:
    """One detected object.

    box: in pixels of the picture.
    score: confidence, 0..1.
    phrase: index of the phrase that the object matches.
    """

    box: PixelBox
    score: float
    phrase: int


class Detector(Protocol):
    """Finds the objects that phrases describe.

    name: shown in tables, and part of the settings that scores are stored with.
    """

    name: str

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        """All detections of all phrases, in any order."""
        ...
