"""Units of boxes, and the check that the numbers of a box fit its unit. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from ..layout import Box, LayoutError
from .box_keys import CENTRE, EDGES, SIDES
from .fields import Corners, number_text

UNITS = ("fractions", "pixels", "percent", "thousandths")
ROUNDING = 1e-3  # boxes that exceed the canvas by up to this fraction are clipped (rounded input)
MAX_FRACTION = 2  # edges above are no fractions, not even those of a box that exceeds the canvas
STRETCH = 1.01  # ratio of proportions above which a layout is said to be stretched
NODE_ADVICE = ", or choose it as the node's units"  # of an error; only in ComfyUI
WHOLE_PIXEL = 1 - 1e-6  # shortest side of a box in pixels, with room for rounding


class Canvas(NamedTuple):
    """Size of a picture in pixels."""

    width: float
    height: float


def canvas_of(width: float, height: float) -> Canvas:
    """A canvas of this size in pixels. Raises LayoutError below one pixel."""
    if min(width, height) < 1:
        raise LayoutError(
            f"The canvas is {number_text(width)} x {number_text(height)} pixels; give a width and a height "
            "of at least 1."
        )
    return Canvas(width, height)


def checked_box(
    number: int, corners: Corners, unit: str, pixels: Canvas, canvas: Canvas, order: str = EDGES
) -> Box:
    """A box as fractions of the canvas.

    number: position of the box in the input, from 1.
    corners: x0, y0, x1, y1 in ``unit``.
    pixels: the picture that pixels refer to.
    canvas: of the layout.
    order: what the numbers were before they were corners, see ``box_keys``.

    Raises LayoutError, with the units that would fit, if the numbers contradict the unit: the box is
    outside of the canvas, inverted, or has a side under one pixel.
    """
    problem = problem_of(corners, unit, pixels, canvas)
    if problem is None:
        return clipped(to_fractions(corners, unit, pixels))
    raise LayoutError(
        f"Box {number} {problem}: {described(corners, unit, pixels)} "
        f"{_advice(corners, unit, pixels, canvas, order)}"
    )


def described(corners: Corners, unit: str, pixels: Canvas) -> str:
    """The numbers of a box and their unit, for an error message."""
    width, height = map(number_text, pixels)
    size = f" of {width} x {height}" if unit == "pixels" else ""
    edges = ", ".join(map(number_text, corners))
    return f"its left, top, right and bottom edges are {edges}, read as {unit}{size}."


def stretch_notice(made_for: Canvas, canvas: Canvas) -> list[str]:
    """A notice if the size that a layout states has other proportions than the canvas."""
    ratios = made_for.width / made_for.height, canvas.width / canvas.height
    if max(ratios) <= STRETCH * min(ratios):
        return []
    own, present = (f"{number_text(size.width)} x {number_text(size.height)}" for size in (made_for, canvas))
    return [f"The layout was made for {own}; its boxes are stretched to {present}."]


def to_fractions(corners: Corners, unit: str, pixels: Canvas) -> Corners:
    """Corners in a unit -> corners as fractions."""
    across, down = {
        "fractions": Canvas(1, 1),
        "pixels": pixels,
        "percent": Canvas(100, 100),
        "thousandths": Canvas(1000, 1000),
    }[unit]
    x0, y0, x1, y1 = corners
    return x0 / across, y0 / down, x1 / across, y1 / down


def clipped(corners: Corners) -> Box:
    """Corners as fractions, clipped to the canvas."""
    x0, y0, x1, y1 = corners
    return Box(max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))


def exceeds(corners: Corners) -> bool:
    """Whether corners as fractions lie outside the canvas by more than rounding."""
    return min(corners) < -ROUNDING or max(corners) > 1 + ROUNDING


def problem_of(corners: Corners, unit: str, pixels: Canvas, canvas: Canvas) -> str | None:
    """Why corners in a unit cannot be a box of the canvas, or None."""
    problem = size_problem(corners, unit, pixels, canvas)
    if problem is None and exceeds(to_fractions(corners, unit, pixels)):
        return "lies outside the canvas"
    return problem


def size_problem(corners: Corners, unit: str, pixels: Canvas, canvas: Canvas) -> str | None:
    """Why corners in a unit cannot be a box, wherever it lies, or None."""
    x0, y0, x1, y1 = to_fractions(corners, unit, pixels)
    if x1 <= x0 or y1 <= y0:
        return "is inverted or has no area"
    if (x1 - x0) * canvas.width < WHOLE_PIXEL or (y1 - y0) * canvas.height < WHOLE_PIXEL:
        return "has a side under one pixel"
    if unit != "fractions" and min(corners) >= 0 and max(corners) <= 1:
        return f"has no number above 1, unlike {unit}"
    return None


def _advice(corners: Corners, unit: str, pixels: Canvas, canvas: Canvas, order: str) -> str:
    """How to fix a box that does not fit its unit."""
    others = [] if unit == "fractions" and max(corners) <= MAX_FRACTION else UNITS
    fitting = [
        other for other in others if other != unit and problem_of(corners, other, pixels, canvas) is None
    ]
    if fitting:
        return (
            f'The numbers would fit as {" or ".join(fitting)}: add "units": "{fitting[0]}" to the '
            f"layout{NODE_ADVICE}."
        )
    x0, y0, x1, y1 = corners
    read_as, seem = {
        SIDES: (
            (x0, y0, x1 - x0, y1 - y0),
            "the right and bottom edges, where width and height are expected",
        ),
        EDGES: (
            (x0, y0, x0 + x1, y0 + y1),
            "width and height, where the right and bottom edges are expected",
        ),
        CENTRE: (
            ((x0 + x1) / 2, (y0 + y1) / 2, (3 * x1 - x0) / 2, (3 * y1 - y0) / 2),
            "the left top corner, where the centre is expected",
        ),
    }[order]
    if problem_of(read_as, unit, pixels, canvas) is None:
        return f"Two numbers seem to be {seem}."
    return "Move or resize the box, or set the canvas to the size that the numbers were made for."
