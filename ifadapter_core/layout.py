"""The layout: a canvas and its instances, each a box and a local description. Standard library only.

Boxes are x0, y0, x1, y1 as fractions of the canvas (0..1, origin top left). Names with the suffix ``_px`` are pixels.
The order of the instances is their depth: the first stands at the back, the last in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_INSTANCES = 100


class LayoutError(ValueError):
    """The layout that was given cannot be used; the message says which part, what was expected and how to fix it."""


class Box(NamedTuple):
    """x0, y0, x1, y1 as fractions of the canvas."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Instance:
    """One thing in the picture: where it stands, what it looks like, how strongly the adapter acts on it (1 = as trained)."""

    box: Box
    local_description: str
    strength: float = 1.0


@dataclass(frozen=True)
class Layout:
    """A canvas of width x height pixels, the global caption, and the instances from back to front."""

    width: int
    height: int
    instances: tuple[Instance, ...] = ()
    caption: str = ""

    @property
    def boxes(self) -> list[Box]:
        return [instance.box for instance in self.instances]

    @property
    def local_descriptions(self) -> list[str]:
        return [instance.local_description for instance in self.instances]

    @property
    def prompt(self) -> str:
        """The global caption and all local descriptions as one prompt."""
        return ", ".join(text for text in (self.caption, *self.local_descriptions) if text)
