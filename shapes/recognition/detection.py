"""Finds all figures of a picture without knowing any layout."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ifadapter_core.geometry import box_iou

from ..drawing import Mask
from ..scene import COLOURS
from .colours import evidence
from .fitting import GROUND, NAMES, Fit, covered, fit
from .templates import Floats

LEAST_SCORE = 0.4  # of a detection
LEAST_SIDE = 0.15  # of a detection, as a part of the picture's
LEAST_VISIBLE = 0.4  # part of a detected figure that must be seen
LEAST_AREA = 0.01  # of a patch of colours to be looked at, as a part of the picture
LEAST_EDGE = 0.08  # of such a patch, as a part of the picture's
SAME_IOU = 0.8  # patches whose boxes agree this much are one
NEARNESS = 0.05  # a patch may be a part of a figure only: look around

T = TypeVar("T", np.bool_, np.int64)
Box = tuple[float, float, float, float]


def detect(picture: ArrayLike) -> list[Fit]:
    """The figures of a picture (H, W, 3).

    Every patch of one or two colours is looked at. The figure that explains most and best is taken; the pixels that it
    explains then say no more about the others, and the search goes on.
    """
    maps = evidence(picture)
    explained = np.zeros(maps.shape[:2], bool)
    candidates = {box: fit(maps, explained, box, NEARNESS) for box in patches(maps)}
    found: list[Fit] = []
    while candidates:
        patch, best = max(candidates.items(), key=lambda entry: _merit(entry[1], len(maps)))
        if _merit(best, len(maps)) <= 0:
            break
        del candidates[patch]
        best = fit(maps, explained, best.box)  # once more, where it is now known to be
        mask = covered(best, *maps.shape[:2])
        new = (
            mask
            & ~explained
            & (maps[..., [NAMES.index(colour) for colour in best.attributes.colours]].max(-1) > 0)
        )
        if _merit(best, len(maps)) > 0 and new.sum() >= LEAST_VISIBLE * mask.sum():
            found.append(best)
            explained |= new
            left = (maps.argmax(-1) != GROUND) & ~explained
            candidates = {
                box: other
                for box, other in candidates.items()
                if _inside(left, box).sum() >= LEAST_AREA * left.size
            }
            touched = [box for box, other in candidates.items() if box_iou(best.box, other.box) > 0]
            candidates.update({box: fit(maps, explained, box, NEARNESS) for box in touched})
    return found


def _merit(found: Fit, size: int) -> float:
    """What is taken first: good and large explanations. A stripe alone could be a square; the striped figure explains more."""
    x0, y0, x1, y1 = found.box
    if found.score < LEAST_SCORE or min(x1 - x0, y1 - y0) < LEAST_SIDE * size:
        return 0
    return found.score**2 * math.sqrt((x1 - x0) * (y1 - y0))


def _inside(mask: Mask, box: Box) -> Mask:
    x0, y0, x1, y1 = map(int, box)
    return mask[y0:y1, x0:x1]


def patches(maps: Floats) -> list[Box]:
    """Boxes in pixels around the connected patches of each one or two colours, from evidence (H, W, 9)."""
    half = maps[: len(maps) // 2 * 2, : maps.shape[1] // 2 * 2]
    nearest = (half[::2, ::2] + half[1::2, ::2] + half[::2, 1::2] + half[1::2, 1::2]).argmax(-1)
    least = LEAST_AREA * nearest.size
    present = [colour for colour in range(len(COLOURS)) if (nearest == colour).sum() >= least]
    pairs = list(combinations_with_replacement(present, 2))
    boxes: list[Box] = []
    masks = np.array([(nearest == a) | (nearest == b) for a, b in pairs], bool).reshape(-1, *nearest.shape)
    for box in _components(masks, least):
        large = min(box[2] - box[0], box[3] - box[1]) >= LEAST_EDGE * len(maps)
        if large and all(box_iou(box, other) < SAME_IOU for other in boxes):
            boxes.append(box)
    return boxes


def _components(masks: NDArray[np.bool_], least: float) -> list[Box]:
    """Boxes, in twice the units of the masks (M, h, w), of the parts that have at least this area.

    A gap of one does not divide: where two colours meet, their mixture may look like the background.
    """
    filled = _spread(masks)
    labels = np.where(filled, np.arange(1, masks.size + 1).reshape(masks.shape), 0)
    while True:  # the highest label of each part takes all of it; it is the number of a cell, whose own label may be higher still
        spread = np.where(filled, _spread(labels), 0)
        spread = np.where(filled, spread.ravel()[spread - 1], 0)
        if (spread == labels).all():
            break
        labels = spread
    number, rows, columns = np.nonzero(masks)
    _, part, counts = np.unique(labels[number, rows, columns], return_inverse=True, return_counts=True)
    boxes = np.tile(np.array([masks.size, masks.size, 0, 0]), (len(counts), 1))
    for low, places in ((0, columns), (1, rows)):
        np.minimum.at(boxes[:, low], part, 2 * places)
        np.maximum.at(boxes[:, low + 2], part, 2 * places + 2)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes[counts >= least].tolist()]


def _spread(maps: NDArray[T]) -> NDArray[T]:
    """The highest value of each cell and its four neighbours: (M, h, w)."""
    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1)])
    vertical = np.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    horizontal = np.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return np.maximum(maps, np.maximum(vertical, horizontal))
