"""Canvases for pictures of different shapes, as SDXL was trained: aspect buckets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

SIDE_UNIT = 64  # pixels; latents of such sides are halved evenly at every level of the UNet
SDXL_SIZE = 1024  # pixels; side of the square among SDXL's sizes
# Short and long side of SDXL's sizes, in units (Podell et al. 2023, appendix I). The size panel of the
# layout editor offers nine of these.
SDXL_SIDES = (
    *((8, 32), (8, 31), (8, 30), (8, 29), (9, 28), (9, 27), (9, 26), (10, 25), (10, 24), (11, 23), (11, 22)),
    *((11, 21), (12, 21), (12, 20), (13, 19), (13, 18), (14, 18), (14, 17), (15, 17), (15, 16), (16, 16)),
)


class Canvas(NamedTuple):
    """The size of a training picture, in pixels."""

    width: int
    height: int

    @property
    def log_aspect(self) -> float:
        return math.log(self.width / self.height)


@cache
def sdxl_canvases(size: int) -> tuple[Canvas, ...]:
    """SDXL's sizes, portrait and landscape, scaled to size x size pixels; from the tallest to the widest.

    Sides are rounded down to multiples of 64, so that none has more pixels than the square.
    """
    scale = size / SDXL_SIZE
    scaled = [[max(int(side * scale), 1) * SIDE_UNIT for side in sides] for sides in SDXL_SIDES]
    canvases = {Canvas(*sides) for sides in scaled} | {Canvas(*reversed(sides)) for sides in scaled}
    return tuple(sorted(canvases, key=lambda canvas: (canvas.log_aspect, canvas)))


def nearest(canvases: Sequence[Canvas], sizes: Sequence[tuple[int, int]]) -> list[Canvas]:
    """For each picture the canvas whose shape is nearest to its own, by the logarithm of the aspect.

    Among canvases of the same shape, the largest.
    sizes: (width, height) of each picture, in pixels.
    """
    largest = {canvas.log_aspect: canvas for canvas in sorted(canvases)}
    aspects = np.array(sorted(largest))
    widths, heights = np.array(sizes, np.float64).reshape(-1, 2).T
    ranks = np.searchsorted((aspects[:-1] + aspects[1:]) / 2, np.log(widths / heights))
    chosen = [largest[aspect] for aspect in aspects.tolist()]
    return [chosen[rank] for rank in ranks.tolist()]


def bucket_canvases(sizes: Sequence[tuple[int, int]], canvases: Sequence[Canvas], least: int) -> list[Canvas]:
    """The canvas of each picture: the nearest one that is the canvas of at least ``least`` pictures.

    Rare canvases join their nearest neighbour, the rarest first, until all have enough pictures or one
    is left.

    sizes: (width, height) of each picture, in pixels.
    """
    found = nearest(canvases, sizes)
    counts = Counter(found)
    joined: dict[Canvas, Canvas] = {}
    while len(counts) > 1:
        rarest = min(counts, key=lambda canvas: (counts[canvas], canvas))
        if counts[rarest] >= least:
            break
        count = counts.pop(rarest)
        (joined[rarest],) = nearest(list(counts), [rarest])
        counts[joined[rarest]] += count

    for canvas in reversed(joined):  # those that took others in joined later
        joined[canvas] = joined.get(joined[canvas], joined[canvas])
    return [joined.get(canvas, canvas) for canvas in found]
