"""What finds things in a picture: a detection model, or a program for a world that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

PixelBox = tuple[float, float, float, float]  # x0 y0 x1 y1 in pixels of the picture


@dataclass(frozen=True)
class Detection:
    """score: 0..1. phrase: the number of the phrase that it answers."""

    box: PixelBox
    score: float
    phrase: int


class Detector(Protocol):
    """name: for the tables and the settings that results are kept under."""

    name: str

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]: ...
