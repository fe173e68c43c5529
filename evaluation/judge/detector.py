"""The interface of detectors: find phrases in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from ifadapter_core.checking.matching import Detection


class Detector(Protocol):
    """Finds the objects that phrases describe.

    name: shown in tables, and part of the settings that scores are stored with.
    """

    name: str

    def detect(self, picture: Image.Image, phrases: Sequence[str]) -> list[Detection]:
        """All detections of all phrases, in any order."""
        ...
