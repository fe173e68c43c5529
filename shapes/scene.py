"""The values of the drawn world: what figures look like, and the scene they stand in. Knows neither pixels nor words."""

from __future__ import annotations

from dataclasses import dataclass

from ifadapter_core.layout import Box, Instance, Layout

SHAPES = ("circle", "square", "triangle", "diamond", "star", "heart")
PATTERNS = ("plain", "striped", "dotted", "checkered", "bordered")

COLOURS: dict[str, tuple[int, int, int]] = {  # sRGB, 0..255
    "red": (206, 32, 41),
    "orange": (247, 135, 24),
    "yellow": (255, 222, 46),
    "green": (38, 146, 62),
    "blue": (24, 104, 218),
    "purple": (148, 46, 154),
    "white": (252, 252, 250),
    "black": (24, 24, 28),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {  # muted, and none of the above
    "grey": (148, 150, 154),
    "beige": (206, 184, 142),
    "sage": (146, 172, 142),
    "slate": (88, 106, 134),
    "rose": (200, 154, 158),
}


@dataclass(frozen=True)
class Attributes:
    """What a figure looks like. A plain one has no pattern colour.

    The two colours of a checkerboard cover the same area, so either could be called the main one: it is the one that
    comes first in ``COLOURS``.
    """

    shape: str
    colour: str
    pattern: str = "plain"
    pattern_colour: str | None = None

    def __post_init__(self) -> None:
        if (self.pattern == "plain") != (self.pattern_colour is None):
            raise ValueError(f"{self}: all patterns but plain have a pattern colour.")
        if self.colour == self.pattern_colour:
            raise ValueError(f"{self}: the pattern colour must differ from the main colour.")
        if self.pattern == "checkered" and self.colours != palette_order(*self.colours):
            raise ValueError(
                f"{self}: the main colour of a checkerboard is the one that comes first in COLOURS."
            )

    @property
    def colours(self) -> tuple[str, ...]:
        """The main colour and, if there is one, the pattern colour."""
        return (self.colour,) if self.pattern_colour is None else (self.colour, self.pattern_colour)


def palette_order(*colours: str) -> tuple[str, ...]:
    return tuple(sorted(colours, key=list(COLOURS).index))


@dataclass(frozen=True)
class Figure:
    """An instance of which all is known: its looks, its bounding box x0, y0, x1, y1 in pixels (x1, y1 excluded), its words."""

    attributes: Attributes
    box_px: tuple[int, int, int, int]
    local_description: str = ""


@dataclass(frozen=True)
class Scene:
    """A square picture of ``size`` pixels a side: a plain background and the figures on it, from back to front."""

    size: int
    background: str
    figures: tuple[Figure, ...]
    caption: str = ""

    @property
    def layout(self) -> Layout:
        return Layout(
            self.size, self.size, tuple(self._instance(figure) for figure in self.figures), self.caption
        )

    def _instance(self, figure: Figure) -> Instance:
        x0, y0, x1, y1 = (edge / self.size for edge in figure.box_px)
        return Instance(Box(x0, y0, x1, y1), figure.local_description)
