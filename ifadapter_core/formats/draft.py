"""What the readers of all formats produce: drafts of instances. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layout import Instance, LayoutError
from .fields import Corners, number_of
from .units import UNITS, Canvas, checked_box


@dataclass(frozen=True)
class Draft:
    """An instance as read, not checked yet.

    number: position in the input, from 1, for error messages.
    corners: x0, y0, x1, y1 in ``unit``; None if the input has only a description.
    description: local description, or "".
    unit: one of ``UNITS``.
    pixels: the picture that pixels refer to.
    strength: factor on the adapter's effect.
    """

    number: int
    corners: Corners | None
    description: str
    unit: str
    pixels: Canvas
    strength: float = 1.0

    def instance(self, canvas: Canvas) -> Instance:
        """The checked instance, on a canvas. Raises LayoutError."""
        if self.corners is None:
            raise LayoutError(
                f"Box {self.number} has a local description but no box. Give it x, y, w and h, or link boxes."
            )
        box = checked_box(self.number, self.corners, self.unit, self.pixels, canvas)
        if not self.description:
            raise LayoutError(
                f"Box {self.number} has no local description. Write what should appear in it, or "
                "delete the box."
            )
        return Instance(box, self.description, self.strength)


class Frame(NamedTuple):
    """What the numbers of a layout refer to.

    pixels: the picture that pixels refer to: the canvas, or the size that the layout gives.
    units: unit that the user or the text states, one of ``UNITS``; None = the default of the format.
    """

    pixels: Canvas
    units: str | None = None

    def resized(self, data: dict, default: Canvas | None = None) -> Frame:
        """With the ``width`` and ``height`` that the layout gives, else a default. Raises LayoutError."""
        pixels = default or self.pixels
        width = number_of(data.get("width", pixels.width), "width")
        height = number_of(data.get("height", pixels.height), "height")
        if min(width, height) < 1:
            raise LayoutError(
                f"The layout's own canvas is {width:g} x {height:g} pixels; expected at least 1 x 1."
            )
        return self._replace(pixels=Canvas(width, height))


Reading = tuple[str, list[Draft]]  # the global caption, or "", and the instances from back to front


@dataclass(frozen=True)
class LayoutFormat:
    """One supported format.

    example: for error messages.
    matches: whether parsed JSON is in this format.
    read: parsed JSON -> caption and drafts.
    """

    example: str
    matches: Callable[[Any], bool]
    read: Callable[[Any, Frame], Reading]


def has_keys(data: Any, *keys: str) -> bool:
    """Whether parsed JSON is an object with all of these keys."""
    return isinstance(data, dict) and all(key in data for key in keys)


def checked_units(units: Any, name: str) -> str | None:
    """A unit, or None if none is stated. Raises LayoutError for unknown units."""
    if units is None or units in UNITS:
        return units
    raise LayoutError(f"{name} is {units!r}; expected one of {', '.join(UNITS)}.")
