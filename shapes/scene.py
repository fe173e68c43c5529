"""The values of the drawn world: attributes, figures and scenes.

Plain data; drawing and wording are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from ifadapter_core.layout import Box, Instance, Layout

SHAPES = ("circle", "square", "triangle", "diamond", "star", "heart")
PATTERNS = ("plain", "striped", "dotted", "checkered", "bordered")

# sRGB, 0..255
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (206, 32, 41),
    "orange": (247, 135, 24),
    "yellow": (255, 222, 46),
    "green": (38, 146, 62),
    "blue": (24, 104, 218),
    "purple": (148, 46, 154),
    "white": (252, 252, 250),
    "black": (24, 24, 28),
}
# sRGB, 0..255: muted colours, distinct from COLOURS
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (148, 150, 154),
    "beige": (206, 184, 142),
    "sage": (146, 172, 142),
    "slate": (88, 106, 134),
    "rose": (200, 154, 158),
}


@dataclass(frozen=True)
class Attributes:
    """The appearance of a figure.

    Both colours of a checkerboard cover the same area. Its main colour is defined as the one that
    comes first in COLOURS.

    shape: one of SHAPES.
    colour: main colour, one of COLOURS.
    pattern: one of PATTERNS.
    pattern_colour: second colour, one of COLOURS; None for the plain pattern only.
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
                f"{self}: swap the colours; the main one of a checkerboard comes first in COLOURS."
            )

    @property
    def colours(self) -> tuple[str, ...]:
        """The main colour, then the pattern colour unless the pattern is plain."""
        return (self.colour,) if self.pattern_colour is None else (self.colour, self.pattern_colour)


def palette_order(*colours: str) -> tuple[str, ...]:
    """Sort colour names by their position in COLOURS."""
    return tuple(sorted(colours, key=list(COLOURS).index))


@dataclass(frozen=True)
class Figure:
    """A shape in a scene, with complete ground truth.

    attributes: appearance.
    box_px: bounding box x0, y0, x1, y1 in pixels; x1 and y1 are exclusive.
    local_description: its text in the layout.
    """

    attributes: Attributes
    box_px: tuple[int, int, int, int]
    local_description: str = ""


@dataclass(frozen=True)
class Scene:
    """A square picture: figures on a plain background.

    size: side of the picture in pixels.
    background: one of BACKGROUNDS.
    figures: from back to front.
    caption: global text of the layout.
    """

    size: int
    background: str
    figures: tuple[Figure, ...]
    caption: str = ""

    @property
    def layout(self) -> Layout:
        """The scene as a layout; its boxes are normalized to 0..1."""
        instances = tuple(self._instance(figure) for figure in self.figures)
        return Layout(self.size, self.size, instances, self.caption)

    def _instance(self, figure: Figure) -> Instance:
        x0, y0, x1, y1 = (edge / self.size for edge in figure.box_px)
        return Instance(Box(x0, y0, x1, y1), figure.local_description)
