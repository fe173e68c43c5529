"""Bands: the instances of a batch in groups of similar area, and the list of their cells.

Letters in shapes: I, J, P and V as in ``packed.py``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_AREA_RATIO = 2  # largest / smallest area in a band on a CPU; bounds the padding
CHUNK_CELLS = 512  # cells of a band on a CPU, so that its features fit into the caches
BAND_CELLS = (
    65536  # cells of a band elsewhere; bounds the memory: 160 MiB for each copy in SDXL's half precision
)


@dataclass(frozen=True, eq=False)
class Members:
    """J instances that cover cells, band after band.

    instance: (J,) int64 number among all instances, ascending within a band.
    band: (J,) int64 number of the band, ascending.
    sizes: number of instances of each band.
    lengths: entries of each instance of a band, padding included.
    """

    instance: Tensor
    band: Tensor
    sizes: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Entries:
    """P entries of J members, V of which are not padding; int64.

    batch_cell: (P,) batch cell of each entry.
    valid: (V,) ascending numbers of the entries that are not padding.
    owner: (V,) member of each of them.
    cell: (V,) cell of each of them on the grid.
    importance: (V,) number of the importance of each of them, among the importance and the mean of
        all entries: for each member, the importance of all its entries, then their means.
    mean: (V,) number of the mean of each of them.
    """

    batch_cell: Tensor
    valid: Tensor
    owner: Tensor
    cell: Tensor
    importance: Tensor
    mean: Tensor


def group_by_area(covered: Tensor, in_chunks: bool) -> Members:
    """Group the instances that cover cells.

    covered: (I, h*w) bool.
    in_chunks: whether the bands are small enough for a CPU's caches, or as few as memory permits.
    """
    area, by_area = covered.sum(dim=1).sort(stable=True)
    empty = int((area == 0).sum())
    area, by_area = area[empty:], by_area[empty:]
    areas = area.tolist()
    bounds = (MAX_AREA_RATIO, CHUNK_CELLS) if in_chunks else (math.inf, BAND_CELLS)
    stops = band_stops(areas, *bounds)
    sizes = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    band = repeat_numbers(torch.tensor(sizes, dtype=torch.long, device=area.device))
    instance = by_area[(band * len(covered) + by_area).argsort()]
    return Members(instance, band, tuple(sizes), tuple(areas[stop - 1] for stop in stops))


def band_stops(areas: Sequence[int], ratio: float, limit: float) -> list[int]:
    """Ends of the bands of instances with these areas, ascending.

    ratio: largest / smallest area of a band.
    limit: cells of a band, padding included. An instance is never split.
    """
    stops: list[int] = []
    start = 0
    while start < len(areas):
        most = bisect_right(areas, ratio * areas[start])
        fitting = bisect_right(range(start, most), limit, key=lambda last: areas[last] * (last + 1 - start))
        start += max(fitting, 1)
        stops.append(start)
    return stops


def list_entries(covered: Tensor, row: Tensor, members: Members) -> Entries:
    """The cells of all members, each padded with its first one to the length of its band.

    covered: (I, h*w) bool. row: (I,) int64 batch row of each instance.
    """
    owner, cell = covered[members.instance].nonzero().unbind(dim=1)
    lengths = torch.tensor(members.lengths, dtype=torch.long, device=row.device)[members.band]
    position = numbers(owner) - starts(covered.sum(dim=1)[members.instance])[owner]  # in its member
    start, length = starts(lengths)[owner], lengths[owner]
    valid, importance = start + position, 2 * start + position
    first_cell = row[members.instance] * covered.shape[1]
    batch_cell = (first_cell + cell[position == 0]).repeat_interleave(lengths)
    batch_cell[valid] = first_cell[owner] + cell
    return Entries(batch_cell, valid, owner, cell, importance, importance + length)


def numbers(items: Tensor) -> Tensor:
    """0, 1, 2, ... for a tensor of items: (len(items),) int64."""
    return torch.arange(len(items), device=items.device)


def starts(counts: Tensor) -> Tensor:
    """First number of each group of consecutive items, from the sizes of the groups (G,)."""
    return counts.cumsum(dim=0) - counts


def repeat_numbers(counts: Tensor) -> Tensor:
    """The number of its group for each item, from the sizes of the groups (G,)."""
    return numbers(counts).repeat_interleave(counts)
