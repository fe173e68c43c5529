"""The window of a picture around a box, and the size to which its crop is resized. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .place import Window

MAX_RATIO = 2.0  # of the longer to the shorter side of a crop, as far as the picture allows
STEP_PX = 64  # the sides of crops are multiples of it, which suits every latent model
SMALL_PX = 512  # sizes below it are those of small models
SMALL_STEP_PX = 8  # the sides of their crops are multiples of the autoencoder's cell
ROUNDING_ERROR_PX = 1e-6


class CropSize(NamedTuple):
    """Width and height of a crop in pixels."""

    width: int
    height: int


def crop_window(
    box: Sequence[float], picture_width: int, picture_height: int, context: float, size: int
) -> tuple[Window, CropSize]:
    """The window around a box, and the size of its crop.

    The window lies inside the picture: at an edge it is shifted, and it is cut only if it is larger
    than the picture. Its proportions are those of the crop as far as the picture allows, so that the
    crop is not stretched; a narrow box gets more context on its long sides, up to ``MAX_RATIO``.

    box: x0, y0, x1, y1 as fractions of the picture.
    context: part of the box's longer side that is added on each side; 0 or more.
    size: the crop's area is about size x size pixels; its sides are multiples of ``STEP_PX``, or of
        ``SMALL_STEP_PX`` for sizes below ``SMALL_PX``.
    """
    x0, x1 = box[0] * picture_width, box[2] * picture_width
    y0, y1 = box[1] * picture_height, box[3] * picture_height
    margin = context * max(x1 - x0, y1 - y0)
    width, height = max(x1 - x0 + 2 * margin, 1.0), max(y1 - y0 + 2 * margin, 1.0)
    width, height = max(width, height / MAX_RATIO), max(height, width / MAX_RATIO)
    width, height = min(width, picture_width), min(height, picture_height)

    crop = crop_size(width, height, size)
    width, height = (
        max(width, height * crop.width / crop.height),
        max(height, width * crop.height / crop.width),
    )
    x, across = _inside((x0 + x1) / 2, width, picture_width)
    y, down = _inside((y0 + y1) / 2, height, picture_height)
    return Window(x, y, across, down), crop


def crop_size(width: float, height: float, size: int) -> CropSize:
    """The size of a crop with about the proportions width : height and the area size x size."""
    step = STEP_PX if size >= SMALL_PX else SMALL_STEP_PX
    ratio = math.sqrt(width / height)
    return CropSize(*(max(round(side / step), 1) * step for side in (size * ratio, size / ratio)))


def _inside(centre: float, length: float, picture: int) -> tuple[int, int]:
    """First pixel and number of pixels of a window along one side, all of them in the picture."""
    length = min(length, picture)
    start = min(max(centre - length / 2, 0.0), picture - length)
    first = _near_whole(start, math.floor)
    stop = min(_near_whole(start + length, math.ceil), picture)
    first = min(first, picture - 1)
    return first, max(stop - first, 1)


def _near_whole(value: float, rounding: Callable[[float], int]) -> int:
    """Round a value down or up, unless it is a whole number up to rounding errors."""
    nearest = round(value)
    return nearest if abs(value - nearest) < ROUNDING_ERROR_PX else rounding(value)
