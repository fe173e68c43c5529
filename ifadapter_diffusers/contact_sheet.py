"""Contact sheets: pictures in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_core.previews import layout_picture

GAP = 2  # pixels between pictures
CELL_PX = 256  # side of a picture in a comparison
TITLE_PX = 32  # height of a title


def to_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (..., 3, H, W) in -1..1, clipped -> sRGB (..., H, W, 3)."""
    pixels = (pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    return pixels.round().byte().movedim(-3, -1).numpy()


def to_image(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in -1..1, clipped -> an image."""
    return Image.fromarray(to_bytes(picture))


def grid(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures of the same size in rows, on white."""
    width, height = rows[0][0].size
    columns = max(map(len, rows))
    size = (columns * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * (width + GAP), y * (height + GAP)))
    return sheet


def titled_rows(rows: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """Pictures of the same size, each row below its title. rows: title -> pictures."""
    sheets = [grid([row]) for row in rows.values()]
    font = ImageFont.load_default(TITLE_PX // 2)
    width = max(*(sheet.width for sheet in sheets), *(math.ceil(font.getlength(title)) for title in rows))
    whole = Image.new("RGB", (width, sum(sheet.height + TITLE_PX for sheet in sheets)), "white")
    draw, top = ImageDraw.Draw(whole), 0
    for title, sheet in zip(rows, sheets, strict=True):
        draw.text((GAP, top + TITLE_PX // 2), title, fill="black", font=font, anchor="lm")
        whole.paste(sheet, (0, top + TITLE_PX))
        top += TITLE_PX + sheet.height
    return whole


def comparison(layouts: Sequence[Layout], columns: Mapping[str, NDArray[np.uint8]]) -> Image.Image:
    """One row per layout: the layout, then its picture in each column, scaled to ``CELL_PX``.

    columns: title -> pictures (len(layouts), H, W, 3).
    """
    pictures = {"layout": [layout_picture(layout, (CELL_PX, CELL_PX)) for layout in layouts]}
    for title, column in columns.items():
        pictures[title] = [
            Image.fromarray(picture).resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS)
            for picture in column
        ]
    body = grid([list(row) for row in zip(*pictures.values(), strict=True)])
    sheet = Image.new("RGB", (body.width, body.height + TITLE_PX), "white")
    sheet.paste(body, (0, TITLE_PX))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TITLE_PX // 2)
    for number, title in enumerate(pictures):
        center = (number * (CELL_PX + GAP) + CELL_PX // 2, TITLE_PX // 2)
        draw.text(center, title, fill="black", font=font, anchor="mm")
    return sheet
