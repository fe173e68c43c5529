"""Detection: finds all figures of a picture without a layout."""

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
from .fitting import BACKGROUND, COLOUR_NAMES, Fit, covered_pixels, fit
from .templates import Floats

# Limits of a detection.
MIN_SCORE = 0.4
MIN_SIDE = 0.15  # fraction of the picture's side
MIN_VISIBLE = 0.4  # fraction of the figure that no earlier detection explains
# Limits of a candidate region.
MIN_AREA = 0.01  # fraction of the picture's area
MIN_REGION_SIDE = 0.08  # fraction of the picture's side
DUPLICATE_IOU = 0.8  # regions whose boxes overlap at least this much count as one

DISTANCE_PENALTY = 0.05  # low, because a region may be only a part of a figure

T = TypeVar("T", np.bool_, np.int64)
Box = tuple[float, float, float, float]


def detect(picture: ArrayLike) -> list[Fit]:
    """The figures of a picture (H, W, 3), best explanation first.

    Greedy: fits a figure to every region of one or two colours and accepts the one with the highest
    priority. Its pixels are then explained and no longer count for other figures.
    """
    maps = evidence(picture)
    explained = np.zeros(maps.shape[:2], bool)
    candidates = {box: fit(maps, explained, box, DISTANCE_PENALTY) for box in candidate_regions(maps)}
    detections: list[Fit] = []
    while candidates:
        region, best = max(candidates.items(), key=lambda entry: _priority(entry[1], len(maps)))
        if _priority(best, len(maps)) <= 0:
            break
        del candidates[region]

        # Fit again around the box found so far, and check that enough of the figure is newly
        # explained.
        best = fit(maps, explained, best.box)
        mask = covered_pixels(best, *maps.shape[:2])
        own_channels = [COLOUR_NAMES.index(colour) for colour in best.attributes.colours]
        new = mask & ~explained & (maps[..., own_channels].max(-1) > 0)
        if _priority(best, len(maps)) <= 0 or new.sum() < MIN_VISIBLE * mask.sum():
            continue
        detections.append(best)
        explained |= new

        # Drop regions that are mostly explained, and fit those again that the new figure overlaps.
        remaining = (maps.argmax(-1) != BACKGROUND) & ~explained
        candidates = {
            box: found
            for box, found in candidates.items()
            if _crop(remaining, box).sum() >= MIN_AREA * remaining.size
        }
        touched = [box for box, found in candidates.items() if box_iou(best.box, found.box) > 0]
        candidates.update({box: fit(maps, explained, box, DISTANCE_PENALTY) for box in touched})
    return detections


def _priority(found: Fit, size: int) -> float:
    """Good and large explanations first; 0 below the limits.

    Size counts because a single stripe could be a plain square: the striped figure explains more.
    """
    x0, y0, x1, y1 = found.box
    if found.score < MIN_SCORE or min(x1 - x0, y1 - y0) < MIN_SIDE * size:
        return 0
    return found.score**2 * math.sqrt((x1 - x0) * (y1 - y0))


def _crop(mask: Mask, box: Box) -> Mask:
    x0, y0, x1, y1 = map(int, box)
    return mask[y0:y1, x0:x1]


def candidate_regions(maps: Floats) -> list[Box]:
    """Boxes in pixels of the connected regions of one or two colours in evidence (H, W, 9)."""
    half = maps[: len(maps) // 2 * 2, : maps.shape[1] // 2 * 2]
    nearest = (half[::2, ::2] + half[1::2, ::2] + half[::2, 1::2] + half[1::2, 1::2]).argmax(-1)
    min_area = MIN_AREA * nearest.size
    present = [colour for colour in range(len(COLOURS)) if (nearest == colour).sum() >= min_area]
    pairs = list(combinations_with_replacement(present, 2))
    masks = np.array([(nearest == a) | (nearest == b) for a, b in pairs], bool).reshape(-1, *nearest.shape)
    boxes: list[Box] = []
    for box in _connected_components(masks, min_area):
        large = min(box[2] - box[0], box[3] - box[1]) >= MIN_REGION_SIDE * len(maps)
        if large and all(box_iou(box, other) < DUPLICATE_IOU for other in boxes):
            boxes.append(box)
    return boxes


def _connected_components(masks: NDArray[np.bool_], min_area: float) -> list[Box]:
    """Boxes of the 4-connected components of masks (M, h, w) with at least ``min_area`` cells.

    Boxes are in units of half a cell, the pixels of the full picture. Gaps of one cell are bridged:
    where two colours meet, their mixture may look like the background.
    """
    # Propagate the highest label of each component until nothing changes. A label is the number of
    # a cell, so following it to that cell's own label (pointer jumping) takes fewer rounds.
    filled = _dilate(masks)
    labels = np.where(filled, np.arange(1, masks.size + 1).reshape(masks.shape), 0)
    while True:
        spread = np.where(filled, _dilate(labels), 0)
        spread = np.where(filled, spread.ravel()[spread - 1], 0)
        if (spread == labels).all():
            break
        labels = spread

    # Bounding box and area of each component; cells that only bridge a gap do not count.
    number, rows, columns = np.nonzero(masks)
    _, component, areas = np.unique(labels[number, rows, columns], return_inverse=True, return_counts=True)
    boxes = np.tile(np.array([masks.size, masks.size, 0, 0]), (len(areas), 1))
    for low, cells in ((0, columns), (1, rows)):
        np.minimum.at(boxes[:, low], component, 2 * cells)
        np.maximum.at(boxes[:, low + 2], component, 2 * cells + 2)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes[areas >= min_area].tolist()]


def _dilate(maps: NDArray[T]) -> NDArray[T]:
    """Maximum over each cell and its four neighbors: (M, h, w)."""
    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1)])
    vertical = np.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
    horizontal = np.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
    return np.maximum(maps, np.maximum(vertical, horizontal))
