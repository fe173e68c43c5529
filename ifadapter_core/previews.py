"""Preview pictures of layouts and of semantic maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .layout import Layout
from .semantic_map import SemanticMap, cell_owners

LONG_EDGE_PX = 1024  # upper bound of a preview's longer side
BACKGROUND = (24, 26, 30)
TINT = 70  # opacity of the colour that fills a box, 0..255
COLOURS = (  # after Okabe and Ito (2008), distinct for colour-blind readers; used in cycles
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (76, 130, 219),
    (213, 94, 0),
    (204, 121, 167),
    (170, 170, 170),
)

Corners = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, inclusive


def layout_picture(layout: Layout) -> Image.Image:
    """Draw every box in its colour, with its number and local description, from back to front."""
    picture = Image.new("RGB", _preview_size(layout.width, layout.height), BACKGROUND)
    corners = [_corners(box, picture.size) for box in layout.boxes]
    for index, box in enumerate(corners):
        _draw_box(picture, box, COLOURS[index % len(COLOURS)])
    # Text last, so that no box hides it.
    for index, (box, text) in enumerate(zip(corners, layout.local_descriptions, strict=True)):
        _draw_description(picture, box, index, text)
    return picture


def ownership_picture(semantic_map: SemanticMap) -> Image.Image:
    """Draw the cells of the finest adapted layer in the colours of their owners, and all boxes."""
    tokens = semantic_map.tokens
    columns, rows = (max(1, math.ceil(side / tokens.cell_px)) for side in tokens.canvas)
    owners = cell_owners(semantic_map.geometry(rows, columns)).numpy()
    palette = np.array([*COLOURS, BACKGROUND], dtype=np.uint8)
    cells = palette[np.where(owners < 0, len(COLOURS), owners % len(COLOURS))]
    picture = Image.fromarray(cells).resize(_preview_size(*tokens.canvas), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for index, box in enumerate(tokens.boxes.tolist()):
        corners = _corners(box, picture.size)
        draw.rectangle(corners, outline=(255, 255, 255), width=2)
        _draw_number(draw, corners, index, _font(picture))
    return picture


def _corners(box: Sequence[float], size: tuple[int, int]) -> Corners:
    """Corners in pixels of a box given in fractions of the picture."""
    x0, y0, x1, y1 = (round(value * side) for value, side in zip(box, (*size, *size), strict=True))
    return x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)


def _draw_box(picture: Image.Image, corners: Corners, colour: tuple[int, int, int]) -> None:
    """Draw a tinted rectangle with an outline."""
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rectangle(corners, fill=TINT)
    picture.paste(Image.new("RGB", picture.size, colour), mask=mask)
    ImageDraw.Draw(picture).rectangle(corners, outline=colour, width=3)


def _draw_description(picture: Image.Image, corners: Corners, index: int, text: str) -> None:
    """Draw the number and as many lines of the description as fit into the box."""
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
    """Draw the instance's number on a dark tag in the top left corner. Returns the y below it."""
    left, top = corners[:2]
    number = str(index + 1)
    bottom = top + round(font.size * 1.3)
    draw.rectangle(
        (left, top, left + round(draw.textlength(number, font=font)) + 10, bottom), fill=BACKGROUND
    )
    draw.text((left + 5, top + 1), number, fill=COLOURS[index % len(COLOURS)], font=font)
    return bottom + 3


def _wrap(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break text into lines of at most ``width`` pixels. A longer word gets a line of its own."""
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
    """Width and height of the preview of a canvas, in pixels."""
    scale = min(1.0, LONG_EDGE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
