"""Template bank: all figures rasterized on a grid, and candidate boxes around an expected box.

A grid has n * n cells, row by row, with n = cells along the box + twice the margin beyond it. A
template holds the covered fraction of each cell, 0..1. The bank is memoized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..drawing import Mask, pattern_mask, pixel_centers, silhouette
from ..scene import PATTERNS, SHAPES

Floats = NDArray[np.float32]

# Candidate boxes relative to the expected box, in units of its sides.
SHIFTS = (-0.32, -0.16, 0.0, 0.16, 0.32)
SCALES = (0.75, 1.0, 1.33)
MIN_IOU = 0.4  # of a candidate box with the expected box
CONTEXT = 0.12  # border around a candidate box that is compared too


@dataclass(frozen=True)
class Grid:
    """A square grid over a box and its surroundings.

    cells: number of cells along each side of the box.
    margin: number of further cells beyond each side.
    """

    cells: int
    margin: int

    @property
    def n(self) -> int:
        """Cells along each side of the grid."""
        return self.cells + 2 * self.margin

    @property
    def edges(self) -> Floats:
        """Cell boundaries along a side, box = 0..1: (n + 1,)."""
        return (np.arange(-self.margin, self.cells + self.margin + 1) / self.cells).astype(np.float32)

    @property
    def points(self) -> NDArray[np.float64]:
        """Two sample points per cell along a side, box = 0..1: (2n,)."""
        return (pixel_centers(2 * self.n) * self.n - self.margin) / self.cells

    def means(self, mask: Mask) -> Floats:
        """Covered fraction of each cell from a mask at the sample points (2n, 2n): (n * n,)."""
        return mask.reshape(self.n, 2, self.n, 2).mean((1, 3), dtype=np.float32).reshape(-1)


COARSE = Grid(12, 5)  # for the search over candidate boxes
FINE = Grid(18, 3)  # for the comparison of templates


@dataclass(frozen=True)
class CandidateBoxes:
    """T candidate boxes around the unit box, float32.

    boxes: (T, 4), x0, y0, x1, y1, unit box = 0..1.
    expected_iou: (T,) IoU with the unit box.
    silhouettes: (shapes, T, cells of COARSE), each shape in each box.
    contexts: (T, cells of COARSE), each box with its context.
    """

    boxes: Floats
    expected_iou: Floats
    silhouettes: Floats
    contexts: Floats


@dataclass(frozen=True)
class Templates:
    """All figures in the unit box, float32.

    main: (shapes, patterns, cells of FINE), coverage by the main colour.
    patterned: (shapes, patterns, cells of FINE), coverage by the pattern colour.
    """

    main: Floats
    patterned: Floats

    @property
    def inside(self) -> Floats:
        """Coverage by the whole figure: (shapes, cells of FINE)."""
        return self.main[:, 0] + self.patterned[:, 0]


@lru_cache
def candidate_boxes() -> CandidateBoxes:
    centers = np.array([(x, y) for y in SHIFTS for x in SHIFTS])[:, None] + 0.5
    halves = np.array([(width, height) for height in SCALES for width in SCALES])[None] / 2
    boxes: NDArray[np.float64] = np.concatenate([centers - halves, centers + halves], -1).reshape(-1, 4)
    overlap = ious(boxes, np.array([0.0, 0.0, 1.0, 1.0]))
    boxes, overlap = boxes[overlap >= MIN_IOU], overlap[overlap >= MIN_IOU]
    silhouettes = [[_in_box(shape, box) for box in boxes] for shape in SHAPES]
    contexts = [_in_box("square", box) for box in boxes + CONTEXT * np.array([-1, -1, 1, 1])]
    return CandidateBoxes(
        *(np.array(values, np.float32) for values in (boxes, overlap, silhouettes, contexts))
    )


@lru_cache
def templates() -> Templates:
    points = FINE.points
    main, patterned = [], []
    for shape in SHAPES:
        inside = silhouette(shape, points, points)
        masks = [inside & pattern_mask(shape, pattern, points, points) for pattern in PATTERNS]
        main.append([FINE.means(inside & ~mask) for mask in masks])
        patterned.append([FINE.means(mask) for mask in masks])
    return Templates(np.array(main), np.array(patterned))


def ious(boxes: NDArray[np.floating], box: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection over union of boxes x0, y0, x1, y1 (K, 4) with one box (4,): (K,)."""
    shared = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None).prod(-1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(-1) + (box[2:] - box[:2]).prod() - shared)


def _in_box(shape: str, box: NDArray[np.float64]) -> Floats:
    """Coverage of the COARSE cells by a shape that fills a box (4,)."""
    u, v = ((COARSE.points - box[low]) / (box[low + 2] - box[low]) for low in (0, 1))
    return COARSE.means(silhouette(shape, u, v))
