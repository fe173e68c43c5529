"""What says whether a crop of a picture fits a description: a vision-language model, or a program for a world that it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Verdict:
    """fits: None: there is no telling, as when a model answered neither yes nor no. It is counted, and is no success.

    answer: a model's own words; empty from a program.
    """

    fits: bool | None
    answer: str = ""


class Verifier(Protocol):
    """name: for the tables and the settings that results are kept under."""

    name: str

    def verify(self, crop: Image.Image, description: str) -> Verdict: ...
