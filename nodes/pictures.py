"""Pictures of a layout and of a semantic map, as IMAGE tensors (1, height, width, 3), float32 in 0..1."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..ifadapter_core.layout import Layout
from ..ifadapter_core.semantic_map import SemanticMap, cell_owners

LONG_EDGE_PX = 1024  # previews are no larger
CELL_PX = 32  # pixels of the picture in one cell of SDXL's adapted layers
BACKGROUND = (24, 26, 30)
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


def layout_picture(layout: Layout) -> Tensor:
    """Every box in its colour with its number and local description, the nearest drawn last."""
    width, height = _preview_size(layout.width, layout.height)
    picture = Image.new("RGB", (width, height), BACKGROUND)
    for index, instance in enumerate(layout.instances):
        box = instance.box
        corners = (round(box.x0 * width), round(box.y0 * height), round(box.x1 * width) - 1, round(box.y1 * height) - 1)
        corners = (*corners[:2], max(corners[2], corners[0]), max(corners[3], corners[1]))
        _draw_box(picture, corners, index, instance.local_description)
    return _to_image(picture)


def ownership_picture(semantic_map: SemanticMap) -> Tensor:
    """The cells in the colour of the instance that owns them, at the resolution of SDXL's adapted layers, with all boxes."""
    canvas = semantic_map.tokens.canvas
    columns, rows = (max(1, -(-side // CELL_PX)) for side in canvas)
    owners = cell_owners(semantic_map.geometry(rows, columns)).numpy()
    palette = np.array([*COLOURS, BACKGROUND], dtype=np.uint8)
    cells = palette[np.where(owners < 0, len(COLOURS), owners % len(COLOURS))]
    width, height = _preview_size(*canvas)
    picture = Image.fromarray(cells).resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    for index, (x0, y0, x1, y1) in enumerate(semantic_map.tokens.boxes.tolist()):
        corners = (
            round(x0 * width),
            round(y0 * height),
            max(round(x1 * width) - 1, round(x0 * width)),
            max(round(y1 * height) - 1, round(y0 * height)),
        )
        draw.rectangle(corners, outline=(255, 255, 255), width=2)
        _draw_number(draw, corners[:2], index, _font(height))
    return _to_image(picture)


def _draw_box(picture: Image.Image, corners: tuple[int, int, int, int], index: int, text: str) -> None:
    colour = COLOURS[index % len(COLOURS)]
    fill = Image.new("RGB", picture.size, colour)
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rectangle(corners, fill=70)
    picture.paste(fill, mask=mask)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(corners, outline=colour, width=3)
    font = _font(picture.height)
    top = _draw_number(draw, corners[:2], index, font)
    for line in _wrap(draw, text, font, corners[2] - corners[0] - 12):
        if top + font.size > corners[3]:
            break
        draw.text((corners[0] + 6, top), line, fill=(255, 255, 255), font=font)
        top += round(font.size * 1.25)


def _draw_number(draw: ImageDraw.ImageDraw, corner: tuple[int, int], index: int, font: ImageFont.FreeTypeFont) -> int:
    """The instance's number on a dark tag; returns the y below it."""
    number = str(index + 1)
    bottom = corner[1] + round(font.size * 1.3)
    draw.rectangle((*corner, corner[0] + round(draw.textlength(number, font=font)) + 10, bottom), fill=BACKGROUND)
    draw.text((corner[0] + 5, corner[1] + 1), number, fill=COLOURS[index % len(COLOURS)], font=font)
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


def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(12, height // 48))


def _preview_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, LONG_EDGE_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_image(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]
