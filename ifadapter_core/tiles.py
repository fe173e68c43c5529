"""Tiles: the cells of packed instances without padding, cut into tiles of equal size for GPU kernels.

Letters in shapes: D, J and U as in ``packed.py``; V entries without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TILE = 64  # entries


@dataclass(frozen=True, eq=False)
class Tiles:
    """J instances with V entries, one for each cell that an instance covers, in T tiles. All int32.

    cells: (V,) batch cell of each entry, instance after instance.
    first: (J + 1,) first entry of each instance; last V.
    first_tile: (J + 1,) first tile of each instance; last T.
    owner: (T,) instance of each tile.
    entries: (J * h*w,) entry of each instance on each cell of the grid, or -1.
    places: (U, D) index in ``entries`` of the instances on each covered cell, or -1.
    covered: (U,) batch cells.
    """

    cells: Tensor
    first: Tensor
    first_tile: Tensor
    owner: Tensor
    entries: Tensor
    places: Tensor
    covered: Tensor


def make_tiles(
    is_cell: Sequence[Tensor], batch_cells: Tensor, grid: Tensor, places: Tensor, covered: Tensor
) -> Tiles:
    """Tiles from the values of ``PackedInstances``.

    is_cell: (E, A) bool for each band.
    batch_cells: (P,) batch cell of each entry, padding included.
    grid: (J, h*w) number of the entry on each cell of each instance, padding included; P or more
        where there is none.
    places: (U, D) index in J * h*w of the instances on each covered cell, or -1.
    covered: (U,) batch cells.
    """
    counts = torch.cat([mask.sum(dim=1) for mask in is_cell])
    valid = torch.cat([mask.flatten() for mask in is_cell])
    number = torch.cat([valid.cumsum(dim=0) - 1, valid.new_full((1,), -1, dtype=torch.int64)])
    tiles = (counts + TILE - 1) // TILE
    owner = torch.arange(len(counts), device=counts.device).repeat_interleave(tiles)
    return Tiles(
        cells=batch_cells[valid].int(),
        first=_bounds(counts),
        first_tile=_bounds(tiles),
        owner=owner.int(),
        entries=number[grid.flatten().clamp(max=len(valid))].int(),
        places=places.int().contiguous(),
        covered=covered.int(),
    )


def _bounds(counts: Tensor) -> Tensor:
    """0 and the running totals, int32."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(dim=0)]).int()
