"""The interface of verifiers: does a crop match its description?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image


@dataclass(frozen=True)
class Verdict:
    """The answer of a verifier.

    fits: whether the crop matches; None if the answer was neither yes nor no, which is counted but
        is not a success.
    answer: the model's raw text; empty if the verifier is a program.
    """

    fits: bool | None
    answer: str = ""


class Verifier(Protocol):
    """Compares a crop of a picture with a description.

    name: shown in tables, and part of the settings that scores are stored with.
    """

    name: str

    def verify(self, crop: Image.Image, description: str) -> Verdict:
        """Judge one crop."""
        ...
