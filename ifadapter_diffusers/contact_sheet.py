"""Contact sheets: pictures in rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_core.previews import layout_picture

GAP = 2  # pixels
CELL_PX = 256  # of a picture in a comparison
TITLE_PX = 32


def to_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (.., 3, H, W) in -1..1 as sRGB (.., H, W, 3); what lies outside is clipped."""
    pixels = (pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return pixels.round().byte().movedim(-3, -1).numpy()


def to_image(picture: Tensor) -> Image.Image:
    return Image.fromarray(to_bytes(picture))


def grid(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures of one size, side by side on white."""
    width, height = rows[0][0].size
    columns = max(map(len, rows))
    sheet = Image.fromarray(
        np.full((len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    )
    for down, row in enumerate(rows):
        for right, picture in enumerate(row):
            sheet.paste(picture, (right * (width + GAP), down * (height + GAP)))
    return sheet


def comparison(layouts: Sequence[Layout], columns: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """One row for each layout: the layout, then the picture of each named column, (rows, H, W, 3). Enlarged."""
    large = [replace(layout, width=CELL_PX, height=CELL_PX) for layout in layouts]
    pictures = {"layout": [layout_picture(layout) for layout in large]}
    for name, column in columns.items():
        pictures[name] = [
            Image.fromarray(picture).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            for picture in column
        ]
    body = grid([list(row) for row in zip(*pictures.values(), strict=True)])
    sheet = Image.new("RGB", (body.width, body.height + TITLE_PX), "white")
    sheet.paste(body, (0, TITLE_PX))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TITLE_PX // 2)
    for number, name in enumerate(pictures):
        draw.text(
            (number * (CELL_PX + GAP) + CELL_PX // 2, TITLE_PX // 2),
            name,
            fill="black",
            font=font,
            anchor="mm",
        )
    return sheet
