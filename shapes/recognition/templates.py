"""The drawings that pictures are compared with, on grids that are laid over a box: n * n cells, row by row, n = cells along the
box + twice the margin beyond it. Each cell holds the part of it that is drawn on, 0..1. All is made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..drawing import Mask, pattern_mask, pixel_centres, silhouette
from ..scene import PATTERNS, SHAPES

Floats = NDArray[np.float32]

SHIFTS = (
    -0.32,
    -0.16,
    0.0,
    0.16,
    0.32,
)  # of a place against the box that was asked for, in parts of its sides
SCALES = (0.75, 1.0, 1.33)
LEAST_IOU = 0.4  # of a place with that box
FRAME = 0.12  # what is looked at around a place, in parts of the box's sides


@dataclass(frozen=True)
class Grid:
    """cells along each side of a box, and how many more beyond each."""

    cells: int
    margin: int

    @property
    def n(self) -> int:
        return self.cells + 2 * self.margin

    @property
    def edges(self) -> Floats:
        """Where cells begin and end, in parts of the box's side: (n + 1)."""
        return (np.arange(-self.margin, self.cells + self.margin + 1) / self.cells).astype(np.float32)

    @property
    def points(self) -> NDArray[np.float64]:
        """Two points in each cell along a side, in parts of the box's side: (2n)."""
        return (pixel_centres(2 * self.n) * self.n - self.margin) / self.cells

    def means(self, mask: Mask) -> Floats:
        """A mask at the points (2n, 2n) as parts of the cells (n * n)."""
        return mask.reshape(self.n, 2, self.n, 2).mean((1, 3), dtype=np.float32).reshape(-1)


COARSE = Grid(12, 5)  # where places are compared
FINE = Grid(18, 3)  # where drawings are compared


@dataclass(frozen=True)
class CandidateBoxes:
    """T places around the unit box.

    boxes: (T, 4). nearness: (T) IoU with the unit box. silhouettes: (shapes, T, cells) of COARSE. frames: (T, cells),
    the places with what is around them.
    """

    boxes: Floats
    nearness: Floats
    silhouettes: Floats
    frames: Floats


@dataclass(frozen=True)
class Drawings:
    """All figures in the unit box: what the main and the pattern colour cover, each (shapes, patterns, cells) of FINE."""

    main: Floats
    patterned: Floats

    @property
    def inside(self) -> Floats:
        """The silhouettes: (shapes, cells)."""
        return self.main[:, 0] + self.patterned[:, 0]


@lru_cache
def candidate_boxes() -> CandidateBoxes:
    centres = np.array([(x, y) for y in SHIFTS for x in SHIFTS])[:, None] + 0.5
    halves = np.array([(width, height) for height in SCALES for width in SCALES])[None] / 2
    boxes = np.concatenate([centres - halves, centres + halves], -1).reshape(-1, 4)
    nearness = ious(boxes, np.array([0.0, 0.0, 1.0, 1.0]))
    boxes, nearness = boxes[nearness >= LEAST_IOU], nearness[nearness >= LEAST_IOU]
    silhouettes = [[_in_box(shape, box) for box in boxes] for shape in SHAPES]
    frames = [_in_box("square", box) for box in boxes + FRAME * np.array([-1, -1, 1, 1])]
    return CandidateBoxes(
        *(np.array(values, np.float32) for values in (boxes, nearness, silhouettes, frames))
    )


@lru_cache
def drawings() -> Drawings:
    points = FINE.points
    main, patterned = [], []
    for shape in SHAPES:
        inside = silhouette(shape, points, points)
        masks = [inside & pattern_mask(shape, pattern, points, points) for pattern in PATTERNS]
        main.append([FINE.means(inside & ~mask) for mask in masks])
        patterned.append([FINE.means(mask) for mask in masks])
    return Drawings(np.array(main), np.array(patterned))


def ious(boxes: NDArray[np.floating], box: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection over union of boxes x0, y0, x1, y1 (K, 4) with one (4,): (K)."""
    shared = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None).prod(-1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(-1) + (box[2:] - box[:2]).prod() - shared)


def _in_box(shape: str, box: NDArray[np.float64]) -> Floats:
    u, v = ((COARSE.points - box[low]) / (box[low + 2] - box[low]) for low in (0, 1))
    return COARSE.means(silhouette(shape, u, v))
