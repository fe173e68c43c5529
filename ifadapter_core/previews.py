"""Pictures of a layout and of a semantic map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .layout import Layout
from .semantic_map import SemanticMap, cell_owners

LONG_EDGE_PX = 1024  # previews are no larger
CELL_PX = 32  # pixels of the picture in one cell of SDXL's adapted layers
BACKGROUND = (24, 26, 30)
TINT = 70  # how much of its colour fills a box, of 255
COLOURS = (  # after Okabe and Ito (2008), distinct for colour-blind eyes; repeated for more instances
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (76, 130, 219),
    (213, 94, 0),
    (204, 121, 167),
    (170, 170, 170),
)

Corners = tuple[int, int, int, int]  # pixels x0, y0, x1, y1, the last included


def layout_picture(layout: Layout) -> Image.Image:
    """Every box in its colour with its number and local description, the nearest drawn last."""
    picture = Image.new("RGB", _preview_size(layout.width, layout.height), BACKGROUND)
    corners = [_corners(box, picture.size) for box in layout.boxes]
    for index, box in enumerate(corners):
        _draw_box(picture, box, COLOURS[index % len(COLOURS)])
    for index, (box, text) in enumerate(
        zip(corners, layout.local_descriptions, strict=True)
    ):  # words above all boxes
        _draw_words(picture, box, index, text)
    return picture


def ownership_picture(semantic_map: SemanticMap) -> Image.Image:
    """The cells in the colour of the instance that owns them, at the resolution of SDXL's adapted layers, with all boxes."""
    canvas = semantic_map.tokens.canvas
    columns, rows = (max(1, -(-side // CELL_PX)) for side in canvas)
    owners = cell_owners(semantic_map.geometry(rows, columns)).numpy()
    palette = np.array([*COLOURS, BACKGROUND], dtype=np.uint8)
    cells = palette[np.where(owners < 0, len(COLOURS), owners % len(COLOURS))]
    picture = Image.fromarray(cells).resize(_preview_size(*canvas), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for index, box in enumerate(semantic_map.tokens.boxes.tolist()):
        corners = _corners(box, picture.size)
        draw.rectangle(corners, outline=(255, 255, 255), width=2)
        _draw_number(draw, corners, index, _font(picture))
    return picture


def _corners(box: Sequence[float], size: tuple[int, int]) -> Corners:
    """A box of fractions as the pixels of its first and last corner."""
    x0, y0, x1, y1 = (round(value * side) for value, side in zip(box, (*size, *size), strict=True))
    return x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)


def _draw_box(picture: Image.Image, corners: Corners, colour: tuple[int, int, int]) -> None:
    """A tinted rectangle with an outline."""
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rectangle(corners, fill=TINT)
    picture.paste(Image.new("RGB", picture.size, colour), mask=mask)
    ImageDraw.Draw(picture).rectangle(corners, outline=colour, width=3)


def _draw_words(picture: Image.Image, corners: Corners, index: int, text: str) -> None:
    """The number and as many lines of the text as the box has room for."""
    draw, font = ImageDraw.Draw(picture), _font(picture)
    top = _draw_number(draw, corners, index, font)
    for line in _wrap(draw, text, font, corners[2] - corners[0] - 12):
        if top + font.size > corners[3]:
            break
        draw.text((corners[0] + 6, top), line, fill=(255, 255, 255), font=font)
        top += round(font.size * 1.25)


def _draw_number(
    draw: ImageDraw.ImageDraw, corners: Corners, index: int, font: ImageFont.FreeTypeFont
) -> int:
    """The instance's number on a dark tag in its first corner; returns the y below it."""
    left, top = corners[:2]
    number = str(index + 1)
    bottom = top + round(font.size * 1.3)
    draw.rectangle(
        (left, top, left + round(draw.textlength(number, font=font)) + 10, bottom), fill=BACKGROUND
    )
    draw.text((left + 5, top + 1), number, fill=COLOURS[index % len(COLOURS)], font=font)
    return bottom + 3


def _wrap(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(picture: Image.Image) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(max(12, max(picture.size) // 44)))


def _preview_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, LONG_EDGE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
