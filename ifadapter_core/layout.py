"""Layouts: a canvas and instances with a box and a description each. Standard library only.

Boxes are x0, y0, x1, y1 as fractions of the canvas (0..1, origin top left); the suffix ``_px``
marks pixels. Instances are ordered by depth, from back to front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_INSTANCES = 100


class LayoutError(ValueError):
    """Unusable layout. The message names the part, what was expected and how to fix it."""


class Box(NamedTuple):
    """Left, top, right and bottom edge as fractions of the canvas."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Instance:
    """One object in the picture.

    box: where the object appears.
    local_description: what the object looks like.
    strength: factor on the adapter's effect; 1 is as trained.
    """

    box: Box
    local_description: str
    strength: float = 1.0


@dataclass(frozen=True)
class Layout:
    """A canvas and its instances.

    width: of the canvas in pixels.
    height: of the canvas in pixels.
    instances: ordered from back to front.
    caption: global prompt, empty if there is none.
    """

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
        """The global caption and all local descriptions, joined to one prompt."""
        return ", ".join(text for text in (self.caption, *self.local_descriptions) if text)
