"""What the readers of all formats produce: drafts of instances. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layout import Box, Instance, LayoutError
from .box_keys import EDGES
from .fields import Corners, kind_of, number_of
from .units import UNITS, Canvas, canvas_of, checked_box


@dataclass(frozen=True)
class Draft:
    """An instance as read, not checked yet.

    number: position in the input, from 1, for error messages.
    corners: x0, y0, x1, y1 in ``unit``; None if the input has only a description.
    description: local description, or "".
    unit: one of ``UNITS``.
    pixels: the picture that pixels refer to.
    strength: factor on the adapter's effect.
    hidden: left out of the layout, but checked and counted.
    order: what the numbers of the box were, for advice on numbers that do not fit: see ``box_keys``.
    ignored: fields of the input that are not read although they have a meaning.
    """

    number: int
    corners: Corners | None
    description: str
    unit: str
    pixels: Canvas
    strength: float = 1.0
    hidden: bool = False
    order: str = EDGES
    ignored: tuple[str, ...] = ()

    def instance(self, canvas: Canvas) -> Instance | None:
        """The checked instance, on a canvas; None if it is hidden. Raises LayoutError."""
        if self.hidden and self.corners is None and not self.description:
            return None  # the editor sends this in place of a hidden box
        box = self._box(canvas)
        if self.hidden:
            return None
        if not self.description:
            raise LayoutError(
                f"Box {self.number} has no local description. Write what should appear in it, or "
                "delete the box."
            )
        return Instance(box, self.description, self.strength)

    def _box(self, canvas: Canvas) -> Box:
        if self.corners is None:
            has = (
                "a local description but no box"
                if self.description
                else "neither a box nor a local description"
            )
            raise LayoutError(f"Box {self.number} has {has}. Give it x, y, w and h, or link boxes.")
        return checked_box(self.number, self.corners, self.unit, self.pixels, canvas, self.order)


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
        width = pixels.width if data.get("width") is None else number_of(data["width"], "width")
        height = pixels.height if data.get("height") is None else number_of(data["height"], "height")
        return self._replace(pixels=canvas_of(width, height))


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


def stated_units(data: Any) -> str | None:
    """The unit that a layout or a box states, or None. Raises LayoutError for unknown units."""
    if not isinstance(data, dict):
        return None
    if "unit" in data:
        raise LayoutError(f'The layout has the key "unit". Call it "units": one of {", ".join(UNITS)}.')
    return checked_units(data.get("units"), "units")


def checked_units(units: Any, name: str) -> str | None:
    """A unit, or None if none is stated. Raises LayoutError for unknown units."""
    if units is None or (isinstance(units, str) and units in UNITS):
        return units
    raise LayoutError(f"{name} must be one of {', '.join(UNITS)}, got {kind_of(units)}.")
