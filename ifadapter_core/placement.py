"""Instances in the rows of a batch, packed: the cells that they cover side by side, so that all of a layer is done at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import Coverage, Geometry

PADDING = 2  # instances of a band cover at most this many times as many cells as the smallest of them
CHUNK = 256  # cells of a band on a CPU, unless one instance has more: what is computed of them stays in its caches


@dataclass(frozen=True)
class Band:
    """E instances that cover about as many cells, each padded to A of them.

    instances (E,): their numbers. whole (E,): whether an instance covers the grid. cells (E, A): the cells of an instance on the
    grid, y * width + x; its first cell again where there is none left. places (E * A): the same cells in the batch, row by row.
    inside (E, A): which of them are its own. padded: whether any is not. members: the numbers, in E * A, of own cells; each part has no
    cell of a row twice, and adding part by part adds in one order.
    """

    instances: Tensor
    whole: Tensor
    cells: Tensor
    places: Tensor
    inside: Tensor
    padded: bool
    members: tuple[Tensor, ...]


@dataclass(frozen=True)
class Placement:
    """Which instances stand where in each row of a batch. Instances are numbered row by row, those of a row in their order.

    rows: of the batch. row, slot (I,): the row of each instance, and its number in that row. gates, strengths (I,), float32.
    counts: instances of each row. bands: all instances that cover a cell.
    """

    rows: int
    height: int
    width: int
    row: Tensor
    slot: Tensor
    gates: Tensor
    strengths: Tensor
    counts: tuple[int, ...]
    bands: tuple[Band, ...]


def place(geometries: Sequence[Geometry], strengths: Sequence[Sequence[float]], device: torch.device | None = None) -> Placement:
    """Place instances in a batch whose rows have these geometries, all of one grid, and these strengths.

    The tensors are counted on the CPU, once for all layers of a grid, and then live on ``device``.
    """
    first = geometries[0]
    coverages = [coverage for geometry in geometries for coverage in geometry.coverages]
    counts = tuple(len(geometry.coverages) for geometry in geometries)
    row = torch.arange(len(geometries)).repeat_interleave(torch.tensor(counts))
    slot = torch.cat([torch.arange(count) for count in counts])
    gates = torch.tensor([gate for geometry in geometries for gate in geometry.area_gates], dtype=torch.float32)
    strength = torch.tensor([factor for part in strengths for factor in part], dtype=torch.float32)
    limit = CHUNK if device is None or device.type == "cpu" else math.inf
    bands = tuple(_band(part, coverages, row, first, device) for part in _alike([coverage.area for coverage in coverages], limit))
    return Placement(
        len(geometries), first.height, first.width, row.to(device), slot.to(device), gates.to(device), strength.to(device), counts, bands
    )


def _alike(areas: Sequence[int], limit: float) -> list[list[int]]:
    """The numbers of all areas but those of 0, in groups of like ones that are not larger together than the limit."""
    groups: list[list[int]] = []
    for number in sorted((number for number, area in enumerate(areas) if area), key=areas.__getitem__):
        area = areas[number]
        if not groups or area > PADDING * areas[groups[-1][0]] or area * (len(groups[-1]) + 1) > limit:
            groups.append([])
        groups[-1].append(number)
    return [sorted(group) for group in groups]


def _band(numbers: Sequence[int], coverages: Sequence[Coverage], row: Tensor, grid: Geometry, device: torch.device | None) -> Band:
    own = [_own_cells(coverages[number], grid.width) for number in numbers]
    longest = max(map(len, own))
    cells = torch.stack([torch.cat([part, part[:1].expand(longest - len(part))]) for part in own])
    inside = torch.arange(longest) < torch.tensor([len(part) for part in own])[:, None]
    whole = torch.tensor([len(part) == grid.height * grid.width for part in own])
    instances = torch.tensor(numbers)
    places = cells + row[instances][:, None] * grid.height * grid.width
    members = _members(places, inside)
    return Band(
        instances.to(device),
        whole.to(device),
        cells.to(device),
        places.flatten().to(device),
        inside.to(device),
        not bool(inside.all()),
        tuple(part.to(device) for part in members),
    )


def _own_cells(coverage: Coverage, width: int) -> Tensor:
    """The cells that an instance covers, row by row."""
    box = coverage.cells
    cells = (torch.arange(box.y0, box.y1)[:, None] * width + torch.arange(box.x0, box.x1)).flatten()
    return cells if coverage.visible is None else cells[coverage.visible.flatten()]


def _members(targets: Tensor, inside: Tensor) -> list[Tensor]:
    """Numbers of the cells inside: first those of the hindmost instance on each cell of the batch, then those of the next one, .."""
    numbers = inside.flatten().nonzero()[:, 0]
    order = targets.flatten()[numbers].sort(stable=True)
    new = torch.ones(len(numbers), dtype=torch.bool)
    new[1:] = order.values[1:] != order.values[:-1]
    start = torch.where(new, torch.arange(len(numbers)), 0).cummax(dim=0).values
    rank = torch.empty_like(numbers)
    rank[order.indices] = torch.arange(len(numbers)) - start
    return [numbers[rank == level] for level in range(int(rank.max()) + 1)]
