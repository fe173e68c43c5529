"""A sheet of pictures with the layouts beside them, to check by eye what a model found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from ifadapter_core.layout_formats import from_json
from ifadapter_core.previews import layout_picture
from ifadapter_diffusers.contact_sheet import grid
from ifadapter_diffusers.pictures import read_picture

from ..files import png_bytes, write_atomic

TILE_PX = 512
ROW = 2  # pictures in a row
LAYOUT_OPACITY = 0.6


def write_sheet(path: Path, pictures: Iterable[Path]) -> None:
    """Each picture, and beside it with its boxes and descriptions; nothing without pictures."""
    tiles = [tile for picture in pictures for tile in _tiles(picture)]
    if tiles:
        rows = [tiles[first : first + 2 * ROW] for first in range(0, len(tiles), 2 * ROW)]
        write_atomic(path, png_bytes(grid(rows)))


def _tiles(path: Path) -> tuple[Image.Image, Image.Image]:
    picture = read_picture(path)
    layout = from_json(path.with_suffix(".json").read_text("utf-8"), *picture.size)
    picture = ImageOps.contain(picture, (TILE_PX, TILE_PX))
    boxes = layout_picture(layout, picture.size)
    both = (picture, Image.blend(picture, boxes, LAYOUT_OPACITY))
    left, right = (ImageOps.pad(each, (TILE_PX, TILE_PX), color="white") for each in both)
    return left, right
