"""Packing: covered cells of all instances of a batch side by side, for one call of a layer.

A grid has height * width cells, numbered y * width + x. Batch cells are numbered across the batch
rows: row * height * width + cell. Instances are numbered row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from .geometry import Coverage, Geometry

MAX_AREA_RATIO = 2  # largest / smallest area within a band; bounds the padding
CHUNK_CELLS = 512  # cells per band on a CPU, so that its features fit into the caches


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


def pack_instances(
    geometries: Sequence[Geometry],
    strengths: Sequence[Sequence[float]],
    device: torch.device | None = None,
    sources: Sequence[int] | None = None,
) -> PackedInstances:
    """Pack the instances of a batch. Serves all layers of a grid.

    geometries: one per batch row, all on the same grid.
    strengths: one per instance, for each batch row.
    device: where the result goes; it is computed on the CPU.
    sources: index of the keys and values that each instance uses; default: its own number.
    """
    height, width = geometries[0].height, geometries[0].width

    # Attributes of each instance.
    coverages = [coverage for geometry in geometries for coverage in geometry.coverages]
    cells_of = [_covered_cells(coverage, width) for coverage in coverages]
    counts = tuple(len(geometry.coverages) for geometry in geometries)
    row = torch.arange(len(geometries)).repeat_interleave(torch.tensor(counts))
    slot = _concat(torch.arange(count) for count in counts)
    gates = _floats(gate for geometry in geometries for gate in geometry.area_gates)
    strength = _floats(factor for part in strengths for factor in part)
    source = torch.arange(len(row)) if sources is None else torch.tensor(sources)

    # Covered batch cells: attention normalizes the query of each of them once.
    first_cell = row * height * width
    covered = _concat(cells + first_cell[index] for index, cells in enumerate(cells_of)).unique()

    # Bands of similar area, padded.
    limit = CHUNK_CELLS if device is None or device.type == "cpu" else math.inf
    groups = _group_by_area([len(cells) for cells in cells_of], limit)
    padded = [_pad([cells_of[index] for index in group]) for group in groups]
    bands = tuple(
        _band(source[group], valid, cells + first_cell[group][:, None], covered, height * width)
        for group, (cells, valid) in zip(groups, padded, strict=True)
    )

    # Flat list of the cells of all bands.
    owner = _concat(
        torch.tensor(group).repeat_interleave(cells.shape[1])
        for group, (cells, _) in zip(groups, padded, strict=True)
    )
    cells = Cells(
        instance=owner,
        row=row[owner],
        slot=slot[owner],
        cell=_concat(cells.flatten() for cells, _ in padded),
        gate=gates[owner],
        strength=strength[owner],
    )
    valid = _concat(valid.flatten() for _, valid in padded).nonzero()[:, 0]

    packed = PackedInstances(
        rows=len(geometries),
        height=height,
        width=width,
        row=row,
        slot=slot,
        gates=gates,
        counts=counts,
        covered=covered,
        bands=bands,
        cells=cells,
        valid=valid,
        valid_cells=cells.select(valid),
    )
    return _to_device(packed, device)


def _covered_cells(coverage: Coverage, width: int) -> Tensor:
    """Cells that an instance covers, in row-major order."""
    box = coverage.cells
    cells = (torch.arange(box.y0, box.y1)[:, None] * width + torch.arange(box.x0, box.x1)).flatten()
    return cells if coverage.visible is None else cells[coverage.visible.flatten()]


def _group_by_area(areas: Sequence[int], limit: float) -> list[list[int]]:
    """Group instances of similar area, up to ``limit`` cells per group. Skips empty ones."""
    groups: list[list[int]] = []
    for index in sorted((index for index, area in enumerate(areas) if area), key=areas.__getitem__):
        area = areas[index]  # the largest of its group so far
        group = groups[-1] if groups else []
        if not group or area > MAX_AREA_RATIO * areas[group[0]] or area * (len(group) + 1) > limit:
            groups.append([])
        groups[-1].append(index)
    return [sorted(group) for group in groups]


def _pad(cells: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Cells of E instances -> cells (E, A), padded with the first cell, and a bool mask (E, A)."""
    longest = max(map(len, cells))
    valid = torch.arange(longest) < torch.tensor([len(part) for part in cells])[:, None]
    padded = [torch.cat([part, part[:1].expand(longest - len(part))]) for part in cells]
    return torch.stack(padded), valid


def _band(sources: Tensor, valid: Tensor, batch_cells: Tensor, covered: Tensor, grid_cells: int) -> Band:
    """A band of instances on batch_cells (E, A), of a grid with ``grid_cells`` cells."""
    targets = batch_cells.flatten()
    return Band(
        sources=sources,
        valid=valid,
        padded=not bool(valid.all()),
        queries=torch.searchsorted(covered, targets),
        scatter=tuple((entries, targets[entries]) for entries in _split_duplicates(targets, valid)),
        peak_floor=torch.where(valid.sum(dim=1, keepdim=True) == grid_cells, -math.inf, 0.0),
    )


def _split_duplicates(targets: Tensor, valid: Tensor) -> list[Tensor]:
    """Split the valid entries into parts without duplicate targets: first ones, second ones, ..."""
    entries = valid.flatten().nonzero()[:, 0]
    order = targets[entries].sort(stable=True)
    is_first = torch.ones(len(entries), dtype=torch.bool)
    is_first[1:] = order.values[1:] != order.values[:-1]
    start = torch.where(is_first, torch.arange(len(entries)), 0).cummax(dim=0).values
    rank = torch.empty_like(entries)
    rank[order.indices] = torch.arange(len(entries)) - start
    return [entries[rank == level] for level in range(int(rank.max()) + 1)]


def _concat(parts: Iterable[Tensor]) -> Tensor:
    """Concatenate int64 tensors; also works without any part."""
    return torch.cat([torch.zeros(0, dtype=torch.long), *parts])


def _floats(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32)


def _to_device(value: Any, device: torch.device | None) -> Any:
    """Move all tensors in nested dataclasses and tuples to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_to_device(part, device) for part in value)
    if isinstance(value, PackedInstances | Band | Cells):
        moved = {field.name: _to_device(getattr(value, field.name), device) for field in fields(value)}
        return replace(value, **moved)
    return value
