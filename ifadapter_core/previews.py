"""Preview pictures of layouts and of semantic maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .drawing.text import LINE_HEIGHT, MAX_CHARACTERS, draw_line, fitted, length, readable
from .layout import Layout
from .semantic_map import SemanticMap, cell_owners

LONG_EDGE_PX = 1024  # upper bound of a preview's longer side
LAYOUT_EDGE_PX = 512  # lower bound for layouts: room for the descriptions
SMALLEST_TEXT_PX = 12
MAX_DRAWN = 30_000  # characters of all descriptions in a picture
MARGIN_PX = 6  # between the edges of a box and its description
TAG_GAP_PX = 3  # between a number and the description below it
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


def layout_picture(layout: Layout, size: tuple[int, int] | None = None) -> Image.Image:
    """Draw every box in its colour, with its number and local description, from back to front.

    size: width and height in pixels. Default: the canvas, scaled to LAYOUT_EDGE_PX..LONG_EDGE_PX.
    """
    size = size or _preview_size(layout.width, layout.height, LAYOUT_EDGE_PX)
    picture = Image.new("RGB", size, BACKGROUND)
    corners = [pixel_corners(box, picture.size) for box in layout.boxes]
    for index, box in enumerate(corners):
        _draw_box(picture, box, COLOURS[index % len(COLOURS)])
    # Text last, so that no box hides it.
    most = min(MAX_CHARACTERS, MAX_DRAWN // max(1, len(corners)))
    for index, (box, text) in enumerate(zip(corners, layout.local_descriptions, strict=True)):
        _draw_description(picture, box, index, readable(text, most))
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
        corners = pixel_corners(box, picture.size)
        draw.rectangle(corners, outline=(255, 255, 255), width=2)
        _draw_number(picture, corners, index)
    return picture


def pixel_corners(box: Sequence[float], size: tuple[int, int]) -> Corners:
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
    """Draw the number and the readable description into the box, as large as it fits.

    The description stands below the number, or beside it in a box that is too low for that.
    """
    largest = text_px(picture)
    tag_right, top = _draw_number(picture, corners, index)
    most = max(1, picture.width - 2 * MARGIN_PX)
    width = min(
        max(corners[2] - corners[0] - 2 * MARGIN_PX, 4 * largest), most
    )  # readable in a narrow box, too
    left = min(corners[0] + MARGIN_PX, picture.width - MARGIN_PX - width)
    size, lines = fitted(text, width, corners[3] - top, largest, SMALLEST_TEXT_PX)
    if not lines:
        left, bottom = tag_right + MARGIN_PX, top - TAG_GAP_PX
        width = min(max(corners[2] - left, 4 * largest), picture.width - left) - MARGIN_PX
        top = bottom - round(largest * LINE_HEIGHT)
        if width >= largest:
            size, lines = fitted(text, width, bottom - top, largest, SMALLEST_TEXT_PX)
    for number, line in enumerate(lines):
        line_top = top + number * round(size * LINE_HEIGHT)
        draw_line(picture, left, line_top, line, size, (255, 255, 255))


def _draw_number(picture: Image.Image, corners: Corners, index: int) -> tuple[int, int]:
    """Draw the instance's number on a dark tag in the top left corner.

    The tag of a box at the edge of the picture moves inside. Returns its right edge and the y below it.
    """
    number, size = str(index + 1), text_px(picture)
    width, height = round(length(number, size)) + 10, round(size * 1.3)
    left = max(0, min(corners[0], picture.width - 1 - width))
    top = max(0, min(corners[1], picture.height - 1 - height))
    bottom = top + height
    ImageDraw.Draw(picture).rectangle((left, top, left + width, bottom), fill=BACKGROUND)
    draw_line(picture, left + 5, top + 1, number, size, COLOURS[index % len(COLOURS)])
    return left + width, bottom + TAG_GAP_PX


def text_px(picture: Image.Image) -> int:
    """Size of the font for the numbers, and of the largest descriptions."""
    return max(SMALLEST_TEXT_PX, max(picture.size) // 44)


def _preview_size(width: int, height: int, least: int = 1) -> tuple[int, int]:
    """Width and height of the preview of a canvas in pixels, at least ``least`` on the longer side."""
    edge = max(width, height)
    scale = min(max(edge, least), LONG_EDGE_PX) / edge
    return max(1, round(width * scale)), max(1, round(height * scale))
