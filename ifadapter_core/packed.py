"""The instances of a batch side by side on one grid: the values that ``packing`` makes.

A grid has height * width cells, numbered y * width + x. Batch cells are numbered across the batch
rows: row * height * width + cell. Instances are numbered row by row.

Instances that cover cells are grouped in bands. Each instance of a band has the same number of
entries: its cells, then its first cell again as padding. Entries are numbered band after band,
instance after instance. All index tensors are int64 and contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .tiles import Tiles, make_tiles

ABSENT = -1e30  # logit of what takes no part in a softmax; finite, so that gradients are


@dataclass(frozen=True, eq=False)
class Band:
    """E instances of A entries each.

    sources: (E,) index of the keys and values of each instance.
    gates: (E,) float32 area gates.
    is_cell: (E, A) bool, False on padding.
    peak_floor: (E, 1) float32 lower bound of the grid-wide max: 0, from the cells outside the
        instance; -inf if there are none.
    queries: (E * A,) batch cell of each entry; in chunks its number among the covered cells.
    cells: (U,) sorted batch cells that the band covers.
    offsets: (U,) first index of each of these cells in ``entries``.
    entries: (V,) entries of the band without padding, numbered within it, sorted by batch cell.
    depth: at most so many of them share a cell.
    """

    sources: Tensor
    gates: Tensor
    is_cell: Tensor
    peak_floor: Tensor
    queries: Tensor
    cells: Tensor
    offsets: Tensor
    entries: Tensor
    depth: int


@dataclass(frozen=True, eq=False)
class PackedInstances:
    """I instances in R rows of a batch, J of which cover cells, with P entries in all bands.

    At most D instances share a cell; a row has at most N. U cells are covered, by V entries that are
    not padding. ``grid`` and ``scores`` index a list of 3 * P + 1 numbers: the maximum over the
    channels of each entry; for each instance, the importance of all its entries, then their means
    over the channels; a zero.

    rows: number of batch rows.
    height: of the grid, in cells.
    width: of the grid, in cells.
    row: (I,) batch row of each instance.
    slot: (I,) position of each instance in its row.
    gates: (I,) float32 area gates.
    bands: all instances that cover a cell, grouped by area.
    in_chunks: whether the bands are small enough for a CPU's caches. Then the query of a cell is
        normalized once, however many bands have it.
    grid: (J * 2 * h*w,) index of the maximum, and of the mean, on each cell of each instance.
    cells: (U,) sorted covered batch cells.
    cell_gates: (U, D) float32 area gates of the instances on each cell; 0 where there is none.
    cell_logits: (U, D) float32: 0 where there is an instance, else ABSENT.
    outside_gates: (U, N) float32 area gates of the instances of the cell's row.
    outside_logits: (U, N) float32: 0 where an instance of the row does not cover the cell, else ABSENT.
    in_row: (U, 1) number of instances in the row of each cell. The other slots are empty.
    spatial: (U * (D + 1),) index of the instances on each cell in J * h*w; the last one is unused.
    scores: (U * (D + 1),) index of the importance of the instances on each cell; the last one is zero.
    weights: (V,) index in U * (D + 1) of each entry that is not padding, ordered as in the bands.
    weight_gates: (V,) float32 area gate of each of these entries.
    strengths: (V,) float32 strength of the instance of each of these entries.
    """

    rows: int
    height: int
    width: int
    row: Tensor
    slot: Tensor
    gates: Tensor
    bands: tuple[Band, ...]
    in_chunks: bool
    grid: Tensor
    cells: Tensor
    cell_gates: Tensor
    cell_logits: Tensor
    outside_gates: Tensor
    outside_logits: Tensor
    in_row: Tensor
    spatial: Tensor
    scores: Tensor
    weights: Tensor
    weight_gates: Tensor
    strengths: Tensor

    @cached_property
    def tiles(self) -> Tiles:
        """The same for GPU kernels. Waits for the device once."""
        queries = torch.cat([band.queries for band in self.bands])
        covered, depth = self.cell_logits.shape
        return make_tiles(
            is_cell=[band.is_cell for band in self.bands],
            batch_cells=self.cells[queries] if self.in_chunks else queries,
            grid=self.grid.view(-1, 2, self.height * self.width)[:, 0],
            places=self.spatial.view(covered, depth + 1)[:, :depth].where(self.cell_logits == 0, -1),
            covered=self.cells,
        )


def to_device(value: Any, device: torch.device | None) -> Any:
    """Move all tensors in nested dataclasses and tuples to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(to_device(part, device) for part in value)
    if isinstance(value, PackedInstances | Band):
        moved = {field.name: to_device(getattr(value, field.name), device) for field in fields(value)}
        return replace(value, **moved)
    return value
