"""Boxes on the grid of an adapted layer: which cells each instance covers, and how large that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Box

NOWHERE = (1.0, 1.0, 0.0, 0.0)  # the box of an instance that covers no cell
MASK_THRESHOLD = 0.5  # a cell belongs to a masked instance when at least this part of it is masked


class CellRange(NamedTuple):
    """Rows y0..y1-1 and columns x0..x1-1 of a grid."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def rows(self) -> slice:
        return slice(self.y0, self.y1)

    @property
    def columns(self) -> slice:
        return slice(self.x0, self.x1)


@dataclass(frozen=True)
class Coverage:
    """The cells of one instance: those of its box, or of ``visible`` inside it.

    visible: boolean (box height, box width) in cells on the CPU, or None for the whole box.
    area: covered cells.
    """

    cells: CellRange
    visible: Tensor | None
    area: int


@dataclass(frozen=True)
class Geometry:
    """All instances on one grid of height x width cells.

    area_gates: g_i = sigmoid(foreground area / area of instance i), in cells (paper eq. 6); an instance without a cell
    has that of an empty slot, sigmoid(0).
    """

    height: int
    width: int
    coverages: tuple[Coverage, ...]
    area_gates: tuple[float, ...]


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1 in the same unit: 0..1, and 0 for boxes without area."""
    ax0, ay0, ax1, ay1 = map(float, a)
    bx0, by0, bx1, by1 = map(float, b)
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared)


def cell_range(box: Sequence[float], height: int, width: int) -> CellRange:
    """Cells floor(x0 * w) .. ceil(x1 * w) - 1 and likewise in y; at least one.

    box: x0 y0 x1 y1 in 0..1. The products are rounded to float32 before floor and ceil, as in the release: 0.7 of ten
    cells ends at cell 7, not one later.
    """
    x0, y0, x1, y1 = (
        torch.tensor(box, dtype=torch.float32) * torch.tensor([width, height, width, height])
    ).tolist()
    left, top = min(math.floor(x0), width - 1), min(math.floor(y0), height - 1)
    return CellRange(
        top, left, max(min(math.ceil(y1), height), top + 1), max(min(math.ceil(x1), width), left + 1)
    )


def mask_on_grid(mask: Tensor, cells: CellRange, height: int, width: int) -> Tensor:
    """The cells of a box that a mask covers.

    mask (H, W) in 0..1 over the whole picture, any size -> boolean (box height, box width). A mask that covers no cell
    by ``MASK_THRESHOLD`` but touches the box keeps the cell that it covers most.
    """
    part = F.interpolate(mask[None, None].float(), size=(height, width), mode="area")[0, 0][
        cells.rows, cells.columns
    ]
    return part >= min(MASK_THRESHOLD, max(part.max().item(), torch.finfo(torch.float32).tiny))


def crop(boxes: Tensor, window: Box, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Boxes and masks of a picture, as those of a part of it.

    window: x0 y0 x1 y1 in 0..1 of the picture, the part. boxes (N, 4) come back in 0..1 of the part; those that reach beyond it
    are cut, those outside become NOWHERE. Masks (N, H, W) are cut to the pixels that touch the part.
    """
    x0, y0, x1, y1 = window
    start, size = torch.tensor([x0, y0, x0, y0]), torch.tensor([x1 - x0, y1 - y0] * 2)
    moved = ((boxes - start) / size).clamp(0, 1)
    moved[(moved[:, :2] >= moved[:, 2:]).any(dim=1)] = torch.tensor(NOWHERE)
    if masks is None:
        return moved, None
    rows, columns = masks.shape[1:]
    cut = masks[
        :, math.floor(y0 * rows) : math.ceil(y1 * rows), math.floor(x0 * columns) : math.ceil(x1 * columns)
    ]
    return moved, cut


def build_geometry(
    boxes: Tensor, height: int, width: int, masks: Tensor | None = None, front_hides_back: bool = False
) -> Geometry:
    """Place N instances on a grid of height x width cells.

    boxes (N, 4): x0 y0 x1 y1 in 0..1, or NOWHERE. masks (N, H, W) in 0..1 over the whole picture, or
    None: refine the boxes. front_hides_back: where instances overlap, the later one (the nearer) covers the cells alone. The
    release leaves the order of overlaps to the learned gate, so this is off by default.
    """
    ranges = [cell_range(box, height, width) for box in boxes.tolist()]
    somewhere = (boxes[:, 0] <= boxes[:, 2]).tolist()
    covered = torch.zeros(len(ranges), height, width, dtype=torch.bool)
    for index, cells in enumerate(ranges):
        if somewhere[index]:
            covered[index, cells.rows, cells.columns] = (
                True if masks is None else mask_on_grid(masks[index].cpu(), cells, height, width)
            )
    foreground_area = int(covered.any(dim=0).sum()) if ranges else 0
    if front_hides_back:
        nearer = (
            covered.flip(0).cumsum(dim=0).flip(0) - covered.long()
        )  # instances in front of each one, per cell
        covered &= nearer == 0
    coverages = tuple(
        _coverage(cells, covered[index, cells.rows, cells.columns]) for index, cells in enumerate(ranges)
    )
    return Geometry(
        height, width, coverages, tuple(_area_gate(foreground_area, coverage.area) for coverage in coverages)
    )


def _coverage(cells: CellRange, visible: Tensor) -> Coverage:
    return Coverage(cells, None if bool(visible.all()) else visible, int(visible.sum()))


def _area_gate(foreground_area: int, area: int) -> float:
    return 1 / (1 + math.exp(-(foreground_area / area if area else 0.0)))


def mask_boxes(masks: Tensor) -> list[tuple[float, float, float, float]]:
    """The smallest box around what is at least half masked in each of N masks: x0 y0 x1 y1 in 0..1 of the picture.

    masks: (N, H, W), or one of (H, W), 0..1. Raises ValueError that names a mask with nothing in it.
    """
    if masks.ndim not in (2, 3):
        raise ValueError(f"Masks have shape {tuple(masks.shape)}; expected (number, height, width).")
    height, width = masks.shape[-2:]
    boxes = []
    for number, mask in enumerate(masks.reshape(-1, height, width) >= MASK_THRESHOLD, 1):
        rows, columns = (
            mask.any(dim=1).nonzero().flatten().tolist(),
            mask.any(dim=0).nonzero().flatten().tolist(),
        )
        if not rows:
            raise ValueError(
                f"Mask {number} is empty: nothing in it is {MASK_THRESHOLD} or more. Paint it, or take it out."
            )
        boxes.append(
            (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
        )
    return boxes
