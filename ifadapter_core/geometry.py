"""Boxes and masks on the grid of an adapted layer: covered cells and area gates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Box, LayoutError

NOWHERE = (1.0, 1.0, 0.0, 0.0)  # box of an instance that covers no cell
MASK_THRESHOLD = 0.5  # a cell is covered if at least this fraction of it is masked


class CellRange(NamedTuple):
    """Rows y0 .. y1 - 1 and columns x0 .. x1 - 1 of a grid, in cells."""

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


@dataclass(frozen=True, eq=False)
class Coverage:
    """Cells that one instance covers.

    cells: the cells of its box.
    visible: bool (box height, box width) on the CPU, True = covered; None: the whole box.
    area: number of covered cells.
    """

    cells: CellRange
    visible: Tensor | None
    area: int


@dataclass(frozen=True, eq=False)
class Geometry:
    """All instances on one grid.

    height: of the grid, in cells.
    width: of the grid, in cells.
    coverages: one per instance.
    area_gates: g_i = sigmoid(foreground area / area of instance i), areas in cells (paper eq. 6).
        An instance without a cell has the gate of an empty slot, sigmoid(0).
    """

    height: int
    width: int
    coverages: tuple[Coverage, ...]
    area_gates: tuple[float, ...]


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of boxes x0 y0 x1 y1 in the same unit; 0 for boxes without area."""
    ax0, ay0, ax1, ay1 = map(float, a)
    bx0, by0, bx1, by1 = map(float, b)
    width, height = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared)


def cell_range(box: Sequence[float], height: int, width: int) -> CellRange:
    """Cells of one box; see ``cell_ranges``."""
    return CellRange(*cell_ranges(torch.tensor([box], dtype=torch.float32), height, width)[0].tolist())


def cell_ranges(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells of boxes: columns floor(x0 * width) .. ceil(x1 * width) - 1, rows likewise; at least one.

    boxes: (N, 4) x0 y0 x1 y1 in 0..1. As in the release, products are rounded to float32 before
        floor and ceil: 0.7 * 10 is 7, not slightly more.

    Returns int64 (N, 4) y0 x0 y1 x1 as in ``CellRange``, on the device of the boxes.
    """
    size = torch.tensor([width, height], device=boxes.device)
    edges = boxes.to(torch.float32).unflatten(1, (2, 2)) * size
    first = edges[:, 0].floor().long().minimum(size - 1)
    stop = edges[:, 1].ceil().long().minimum(size).maximum(first + 1)
    return torch.cat([first.flip(1), stop.flip(1)], dim=1)


def rasterize(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells of boxes (N, 4), see ``cell_ranges``: bool (N, height, width). All False for NOWHERE."""
    y0, x0, y1, x1 = cell_ranges(boxes, height, width)[:, :, None].unbind(dim=1)
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    in_rows = (rows >= y0) & (rows < y1) & (boxes[:, 0] <= boxes[:, 2])[:, None]
    in_columns = (columns >= x0) & (columns < x1)
    return in_rows[:, :, None] & in_columns[:, None]


def mask_on_grid(mask: Tensor, cells: CellRange, height: int, width: int) -> Tensor:
    """Cells of a box that a mask covers: bool (box height, box width).

    mask: (H, W) in 0..1 over the whole picture, any size. If it touches the box but reaches
        ``MASK_THRESHOLD`` in no cell, the cell that it covers most is kept.
    """
    fractions = F.interpolate(mask[None, None].float(), size=(height, width), mode="area")[0, 0]
    part = fractions[cells.rows, cells.columns]
    return part >= min(MASK_THRESHOLD, max(part.max().item(), torch.finfo(torch.float32).tiny))


def crop(boxes: Tensor, window: Box, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Crop boxes and masks of a picture to a window.

    boxes: (N, 4) in 0..1 of the picture; returned in 0..1 of the window, clipped, or NOWHERE if
        outside.
    window: x0 y0 x1 y1 in 0..1 of the picture.
    masks: (N, H, W) over the picture; returned with the pixels that touch the window.
    """
    x0, y0, x1, y1 = window
    start, size = torch.tensor([x0, y0, x0, y0]), torch.tensor([x1 - x0, y1 - y0] * 2)
    moved = ((boxes - start) / size).clamp(0, 1)
    moved[(moved[:, :2] >= moved[:, 2:]).any(dim=1)] = torch.tensor(NOWHERE)
    if masks is None:
        return moved, None
    rows, columns = masks.shape[1:]
    row_range = slice(math.floor(y0 * rows), math.ceil(y1 * rows))
    column_range = slice(math.floor(x0 * columns), math.ceil(x1 * columns))
    return moved, masks[:, row_range, column_range]


def build_geometry(
    boxes: Tensor, height: int, width: int, masks: Tensor | None = None, front_hides_back: bool = False
) -> Geometry:
    """Covered cells and area gates of N instances on a grid of height x width cells.

    boxes: (N, 4) x0 y0 x1 y1 in 0..1, or NOWHERE.
    masks: (N, H, W) in 0..1 over the whole picture; refine the boxes. None: whole boxes.
    front_hides_back: in overlaps, only the nearest (last) instance covers a cell. Off by default:
        the release leaves overlaps to the learned gate.
    """
    # Rasterize the boxes, refined by the masks.
    ranges = [cell_range(box, height, width) for box in boxes.tolist()]
    has_cells = (boxes[:, 0] <= boxes[:, 2]).tolist()  # False for NOWHERE
    covered = torch.zeros(len(ranges), height, width, dtype=torch.bool)
    for index, cells in enumerate(ranges):
        if has_cells[index]:
            covered[index, cells.rows, cells.columns] = (
                True if masks is None else mask_on_grid(masks[index].cpu(), cells, height, width)
            )
    foreground_area = int(covered.any(dim=0).sum()) if ranges else 0

    # Remove cells that a nearer instance covers.
    if front_hides_back:
        nearer_count = covered.flip(0).cumsum(dim=0).flip(0) - covered.long()
        covered &= nearer_count == 0

    coverages = tuple(
        _coverage(cells, covered[index, cells.rows, cells.columns]) for index, cells in enumerate(ranges)
    )
    area_gates = tuple(_area_gate(foreground_area, coverage.area) for coverage in coverages)
    return Geometry(height, width, coverages, area_gates)


def _coverage(cells: CellRange, visible: Tensor) -> Coverage:
    return Coverage(cells, None if bool(visible.all()) else visible, int(visible.sum()))


def _area_gate(foreground_area: int, area: int) -> float:
    return 1 / (1 + math.exp(-(foreground_area / area if area else 0.0)))


def mask_boxes(masks: Tensor | Sequence[Tensor]) -> list[tuple[float, float, float, float]]:
    """Bounding box x0 y0 x1 y1 of each mask's pixels of at least ``MASK_THRESHOLD``, in 0..1.

    masks: (N, H, W), (H, W), (N, 1, H, W) or (1, N, H, W) in 0..1, or a list of such tensors of any
        sizes. Raises LayoutError, which names a mask that is empty or not finite.
    """
    boxes = []
    for number, mask in enumerate(_single_masks(masks), 1):
        height, width = mask.shape
        if not mask.isfinite().all():
            raise LayoutError(
                f"Mask {number} is not finite: some of its pixels are NaN or infinite; expected 0 to 1. "
                "Check the node that makes it."
            )
        covered = mask >= MASK_THRESHOLD
        rows = covered.any(dim=1).nonzero().flatten().tolist()
        columns = covered.any(dim=0).nonzero().flatten().tolist()
        if not rows:
            raise LayoutError(
                f"Mask {number} is empty: none of its pixels is {MASK_THRESHOLD} or more. "
                "Paint it or remove it."
            )
        boxes.append(
            (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
        )
    return boxes


def _single_masks(masks: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """Masks of (H, W)."""
    if isinstance(masks, (list, tuple)):
        return [single for part in masks for single in _single_masks(part)]
    if not isinstance(masks, Tensor):
        raise LayoutError(f"The masks are of type {type(masks).__name__}; expected a MASK.")
    shape = tuple(masks.shape)
    if masks.is_meta:
        raise LayoutError(
            f"The masks have shape {shape} and no values (device meta). Load them before this node."
        )
    if masks.ndim == 4 and shape[-1] in (1, 3, 4):
        raise LayoutError(
            f"The masks have shape {shape}, which is a picture's. Connect it through Convert Image to Mask."
        )
    if masks.ndim not in (2, 3, 4) or (masks.ndim == 4 and 1 not in shape[:2]):
        raise LayoutError(f"The masks have shape {shape}; expected (number, height, width).")
    if 0 in shape[-2:] or masks.is_complex():
        raise LayoutError(
            f"The masks have shape {shape} and type {masks.dtype}; expected at least one pixel, from 0 to 1."
        )
    return list(masks.reshape(-1, *shape[-2:]))
