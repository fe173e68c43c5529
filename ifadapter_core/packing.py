"""Instances in the rows of a batch, packed: the cells that they cover side by side, so that all of a layer is done at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from .geometry import Coverage, Geometry

PADDING = 2  # instances of a band cover at most this many times as many cells as the smallest of them
CHUNK = 512  # cells of a band on a CPU, unless one instance has more: what is computed of them stays in its caches


@dataclass(frozen=True)
class Band:
    """E instances that cover about as many cells, each padded to A of them.

    sources (E,): whose keys and values they use. inside (E, A): which cells are their own; the first one again where an instance has
    none left. padded: whether any has. queries (E * A): all of them, as numbers of PackedInstances.covered. members: own cells, as numbers in
    E * A and as cells of the batch; each part has no cell of a row twice, and adding part by part adds in one order. least (E, 1): the
    least that a maximum over the grid, which is zero elsewhere, can be.
    """

    sources: Tensor
    inside: Tensor
    padded: bool
    queries: Tensor
    members: tuple[tuple[Tensor, Tensor], ...]
    least: Tensor


@dataclass(frozen=True)
class Cells:
    """Cells of instances, one after the other: each (P,). instance: whose. row, slot: where that is. cell: y * width + x.
    gate, strength: of the instance, float32.
    """

    instance: Tensor
    row: Tensor
    slot: Tensor
    cell: Tensor
    gate: Tensor
    strength: Tensor

    def pick(self, numbers: Tensor) -> Cells:
        return Cells(*(getattr(self, field.name)[numbers] for field in fields(self)))


@dataclass(frozen=True)
class PackedInstances:
    """Which instances stand where in each row of a batch. Instances are numbered row by row, those of a row in their order.

    rows: of the batch. row, slot (I,): the row of each instance, and its number in that row. gates (I,), float32. counts: instances of
    each row. covered (U,): the cells of the batch where an instance is, row * height * width + y * width + x. bands: all instances that
    are on any. cells: those of all bands, padding included, one band after the other. own: the numbers of those that are not padding.
    own_cells: these cells.
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
    own: Tensor
    own_cells: Cells


def pack_instances(
    geometries: Sequence[Geometry],
    strengths: Sequence[Sequence[float]],
    device: torch.device | None = None,
    sources: Sequence[int] | None = None,
) -> PackedInstances:
    """Place instances in a batch whose rows have these geometries, all of one grid, and these strengths.

    sources: whose keys and values each instance uses; default: every instance its own.
    The tensors are counted on the CPU, once for all layers of a grid, and then live on ``device``.
    """
    height, width = geometries[0].height, geometries[0].width
    covers = [_own_cells(coverage, width) for geometry in geometries for coverage in geometry.coverages]
    counts = tuple(len(geometry.coverages) for geometry in geometries)
    row = torch.arange(len(geometries)).repeat_interleave(torch.tensor(counts))
    slot = _join(torch.arange(count) for count in counts)
    gates = torch.tensor(
        [gate for geometry in geometries for gate in geometry.area_gates], dtype=torch.float32
    )
    factors = torch.tensor([factor for part in strengths for factor in part], dtype=torch.float32)
    source = torch.arange(len(row)) if sources is None else torch.tensor(sources)
    covered = _join(part + row[number] * height * width for number, part in enumerate(covers)).unique()
    groups = _alike(
        [len(part) for part in covers], CHUNK if device is None or device.type == "cpu" else math.inf
    )
    padded = [_pad([covers[number] for number in group]) for group in groups]
    own = _join(inside.flatten() for _, inside in padded).nonzero()[:, 0]
    owner = _join(
        torch.tensor(group).repeat_interleave(part.shape[1])
        for group, (part, _) in zip(groups, padded, strict=True)
    )
    cells = Cells(
        owner,
        row[owner],
        slot[owner],
        _join(part.flatten() for part, _ in padded),
        gates[owner],
        factors[owner],
    )
    packed = PackedInstances(
        rows=len(geometries),
        height=height,
        width=width,
        row=row,
        slot=slot,
        gates=gates,
        counts=counts,
        covered=covered,
        bands=tuple(
            _band(source[group], inside, part + row[group][:, None] * height * width, covered, height * width)
            for group, (part, inside) in zip(groups, padded, strict=True)
        ),
        cells=cells,
        own=own,
        own_cells=cells.pick(own),
    )
    return _moved(packed, device)


def _alike(areas: Sequence[int], limit: float) -> list[list[int]]:
    """The numbers of all areas but those of 0, in groups of like ones that are not larger together than the limit."""
    groups: list[list[int]] = []
    for number in sorted((number for number, area in enumerate(areas) if area), key=areas.__getitem__):
        area = areas[number]
        if not groups or area > PADDING * areas[groups[-1][0]] or area * (len(groups[-1]) + 1) > limit:
            groups.append([])
        groups[-1].append(number)
    return [sorted(group) for group in groups]


def _pad(cells: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Cells of E instances -> those (E, A), the first one again where there is none left, and which are not padding (E, A)."""
    longest = max(map(len, cells))
    inside = torch.arange(longest) < torch.tensor([len(part) for part in cells])[:, None]
    return torch.stack([torch.cat([part, part[:1].expand(longest - len(part))]) for part in cells]), inside


def _band(sources: Tensor, inside: Tensor, places: Tensor, covered: Tensor, cells: int) -> Band:
    return Band(
        sources=sources,
        inside=inside,
        padded=not bool(inside.all()),
        queries=torch.searchsorted(covered, places.flatten()),
        members=tuple((part, places.flatten()[part]) for part in _members(places, inside)),
        least=torch.where(inside.sum(dim=1, keepdim=True) == cells, -math.inf, 0.0),
    )


def _join(parts: Iterable[Tensor]) -> Tensor:
    """Numbers of all parts, of which there may be none."""
    return torch.cat([torch.zeros(0, dtype=torch.long), *parts])


def _moved(value: Any, device: torch.device | None) -> Any:
    """The value with all tensors in it on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(part, device) for part in value)
    if isinstance(value, PackedInstances | Band | Cells):
        return replace(
            value, **{field.name: _moved(getattr(value, field.name), device) for field in fields(value)}
        )
    return value


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
