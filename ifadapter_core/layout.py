"""Layouts: a canvas and instances with a box and a description each. Standard library only.

Boxes are x0, y0, x1, y1 as fractions of the canvas (0..1, origin top left); the suffix ``_px``
marks pixels. Instances are ordered by depth, from back to front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
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

    Raises LayoutError for a size, a box or a strength out of range.
    """

    width: int
    height: int
    instances: tuple[Instance, ...] = ()
    caption: str = ""

    def __post_init__(self) -> None:
        if not (self.width >= 1 and self.height >= 1):
            raise LayoutError(f"The canvas is {self.width} x {self.height} pixels; expected at least 1 x 1.")
        for number, instance in enumerate(self.instances, 1):
            x0, y0, x1, y1 = instance.box
            if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):  # NaN fails too
                raise LayoutError(
                    f"Box {number} is {tuple(instance.box)}; expected left, top, right and bottom edge "
                    "in 0..1, in this order."
                )
            if not math.isfinite(instance.strength):
                raise LayoutError(f"Box {number} has strength {instance.strength}; expected a finite number.")

    @classmethod
    def from_json(cls, path: str | PathLike[str], *, width: int, height: int) -> Layout:
        """Read a JSON file in any of the supported formats; log what was repaired.

        path: of the file; ``layout_formats.from_json`` reads JSON text.
        width, height: of the canvas in pixels.

        Raises LayoutError for a file that is not a layout and for JSON text in place of a path, OSError
        if the file cannot be opened.
        """
        from . import layout_formats  # imports this module

        if isinstance(path, str) and path.lstrip()[:1] in ("{", "["):
            raise LayoutError(
                "Layout.from_json reads a file, and got JSON text. Give the path of a file, or read the text "
                "with ifadapter_core.layout_formats.from_json."
            )
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise LayoutError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from None
        try:
            return layout_formats.from_json(text, width, height)
        except LayoutError as error:
            raise LayoutError(f"{path}: {error}") from None

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
