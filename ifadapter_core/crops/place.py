"""Where a crop belongs in its picture. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..layout import Box, LayoutError


class Window(NamedTuple):
    """A rectangle of a picture in whole pixels: left and top edge, width and height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.x, self.x + self.width)


@dataclass(frozen=True)
class Place:
    """The window that a crop was cut from.

    window: in pixels of the picture, inside it.
    picture_width, picture_height: size of the picture in pixels.
    image: index of the picture in its batch, from 0; in a list of batches, over all of them.
    instance: index of the instance in the picture's layout, from 0; None for a tile.

    Raises LayoutError for a window that is empty or not inside the picture.
    """

    window: Window
    picture_width: int
    picture_height: int
    image: int = 0
    instance: int | None = None

    def __post_init__(self) -> None:
        x, y, width, height = self.window
        fits_x = x >= 0 and width >= 1 and x + width <= self.picture_width
        fits_y = y >= 0 and height >= 1 and y + height <= self.picture_height
        if not (fits_x and fits_y):
            raise LayoutError(
                f"The window at x {x}, y {y} of {width} x {height} pixels is not inside the picture of "
                f"{self.picture_width} x {self.picture_height}. Expected at least one pixel, all of them "
                "in the picture: change its position or its size."
            )

    @property
    def box(self) -> Box:
        """The window as fractions of the picture."""
        x, y, width, height = self.window
        across, down = self.picture_width, self.picture_height
        return Box(x / across, y / down, (x + width) / across, (y + height) / down)
