"""The instances of a batch side by side on one grid: the values that ``packing`` makes.

A grid has height * width cells, numbered y * width + x. Batch cells are numbered across the batch
rows: row * height * width + cell. Instances are numbered row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Band:
    """E instances of similar area, each padded to A cells. Tensors are int64 unless noted.

    sources: (E,) index of the keys and values that each instance uses.
    valid: (E, A) bool, False on padding.
    padded: whether any entry is padding.
    queries: (E * A,) index of each cell in PackedInstances.covered.
    scatter: pairs (entry in E * A, batch cell) of all valid entries, in parts without duplicate
        batch cells. Adding part by part gives a fixed order of summation.
    peak_floor: (E, 1) float32 lower bound of the grid-wide max: 0, from the cells outside the
        instance; -inf if there are none.
    """

    sources: Tensor
    valid: Tensor
    padded: bool
    queries: Tensor
    scatter: tuple[tuple[Tensor, Tensor], ...]
    peak_floor: Tensor


@dataclass(frozen=True, eq=False)
class Cells:
    """Packed cells of all instances, one entry per cell, each tensor (P,); int64 unless noted.

    instance: owning instance.
    row: its batch row.
    slot: its position among the instances of that row.
    cell: y * width + x.
    gate: float32 area gate of the instance.
    strength: float32 strength of the instance.
    """

    instance: Tensor
    row: Tensor
    slot: Tensor
    cell: Tensor
    gate: Tensor
    strength: Tensor

    def select(self, indices: Tensor) -> Cells:
        """The entries at these indices."""
        return Cells(*(getattr(self, field.name)[indices] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class PackedInstances:
    """I instances in the rows of a batch. Tensors are int64 unless noted.

    rows: number of batch rows.
    height: of the grid, in cells.
    width: of the grid, in cells.
    row: (I,) batch row of each instance.
    slot: (I,) position of each instance in its row.
    gates: (I,) float32 area gates.
    counts: number of instances in each row.
    covered: (U,) sorted batch cells with at least one instance.
    bands: all instances that cover a cell, grouped by area.
    cells: (P,) cells of all bands, padding included, band after band.
    valid: (V,) indices of the entries of ``cells`` that are not padding.
    valid_cells: (V,) those entries.
    """

    rows: int
    height: int
    width: int
    row: Tensor
    slot: Tensor
    gates: Tensor
    counts: tuple[int, ...]
    covered: Tensor
    bands: tuple[Band, ...]
    cells: Cells
    valid: Tensor
    valid_cells: Cells


def to_device(value: Any, device: torch.device | None) -> Any:
    """Move all tensors in nested dataclasses and tuples to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(to_device(part, device) for part in value)
    if isinstance(value, PackedInstances | Band | Cells):
        moved = {field.name: to_device(getattr(value, field.name), device) for field in fields(value)}
        return replace(value, **moved)
    return value
