"""Packing: covered cells of all instances of a batch side by side, for one call of a layer."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import Geometry, rasterize
from .packed import Band, Cells, PackedInstances, to_device

MAX_AREA_RATIO = 2  # largest / smallest area within a band; bounds the padding
CHUNK_CELLS = 512  # cells per band on a CPU, so that its features fit into the caches


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

    Raises ValueError for strengths or sources that do not fit the instances.
    """
    counts = [len(geometry.coverages) for geometry in geometries]
    if [len(part) for part in strengths] != counts:
        raise ValueError(
            f"strengths has {[len(part) for part in strengths]} factors per row for {counts} instances. "
            "Give one for each instance."
        )
    if sources is not None and len(sources) != sum(counts):
        raise ValueError(f"sources has {len(sources)} indices for {sum(counts)} instances.")

    height, width = geometries[0].height, geometries[0].width
    covered = torch.zeros(sum(counts), height, width, dtype=torch.bool)
    coverages = [coverage for geometry in geometries for coverage in geometry.coverages]
    for mask, coverage in zip(covered, coverages, strict=True):
        mask[coverage.cells.rows, coverage.cells.columns] = (
            True if coverage.visible is None else coverage.visible
        )
    gates = [gate for geometry in geometries for gate in geometry.area_gates]
    instances = _Instances(
        row=torch.arange(len(counts)).repeat_interleave(torch.tensor(counts, dtype=torch.long)),
        source=torch.arange(sum(counts)) if sources is None else torch.tensor(sources, dtype=torch.long),
        covered=covered,
        gate=torch.tensor(gates, dtype=torch.float32),
        strength=torch.tensor([factor for part in strengths for factor in part], dtype=torch.float32),
    )
    return _pack(instances, len(counts), device)


def pack_boxes(
    boxes: Tensor,
    row: Tensor,
    rows: int,
    height: int,
    width: int,
    strengths: Tensor | None = None,
    device: torch.device | None = None,
    front_hides_back: Tensor | None = None,
) -> PackedInstances:
    """Pack I instances with whole boxes, without a loop over them: equals ``pack_instances``.

    boxes: (I, 4) x0 y0 x1 y1 in 0..1, or NOWHERE. The result is computed on their device.
    row: (I,) int64 batch row of each instance, in any order. Within a row, the order of the
        instances is that from back to front.
    rows: number of batch rows.
    height, width: of the grid, in cells.
    strengths: (I,) factors; default: 1.
    device: where the result goes; default: the device of the boxes.
    front_hides_back: (I,) bool: whether nearer instances of its row hide cells of an instance.
        Default: none.

    The keys and values are those of the instances in the given order.
    Raises ValueError for tensors that do not fit each other.
    """
    count = len(boxes)
    given = {"row": row, "strengths": strengths, "front_hides_back": front_hides_back}
    for name, values in given.items():
        if values is not None and tuple(values.shape) != (count,):
            raise ValueError(f"{name} has shape {tuple(values.shape)}; expected ({count},), one per box.")
    if count and not 0 <= int(row.min()) <= int(row.max()) < rows:
        raise ValueError(
            f"row has numbers in {int(row.min())}..{int(row.max())}; expected 0..{rows - 1}, "
            f"because rows is {rows}."
        )

    source = row.to(boxes.device).argsort(stable=True)
    row, boxes = row.to(boxes.device)[source], boxes[source]
    covered = rasterize(boxes, height, width)
    foreground = torch.zeros(rows, height, width, dtype=torch.int32, device=boxes.device)
    foreground = foreground.index_add(0, row, covered.int()) > 0
    if front_hides_back is not None:
        last = torch.searchsorted(row, row, right=True) - 1  # nearest instance of the row
        count_so_far = covered.cumsum(dim=0, dtype=torch.int32)
        is_hidden = count_so_far[last] > count_so_far
        covered &= ~(is_hidden & front_hides_back.to(boxes.device)[source, None, None])
    areas = covered.sum(dim=(1, 2))
    ratio = foreground.sum(dim=(1, 2))[row].double() / areas.clamp(min=1)
    if strengths is None:
        strengths = torch.ones(count)
    instances = _Instances(
        row=row,
        source=source,
        covered=covered,
        gate=torch.where(areas > 0, ratio, 0).sigmoid().float(),
        strength=strengths.to(boxes.device, torch.float32)[source],
    )
    return _pack(instances, rows, boxes.device if device is None else device)


@dataclass(frozen=True, eq=False)
class _Instances:
    """I instances, row by row.

    row: (I,) int64 batch row.
    source: (I,) int64 index of the keys and values.
    covered: (I, height, width) bool.
    gate: (I,) float32 area gate.
    strength: (I,) float32 factor.
    """

    row: Tensor
    source: Tensor
    covered: Tensor
    gate: Tensor
    strength: Tensor


def _pack(instances: _Instances, rows: int, device: torch.device | None) -> PackedInstances:
    """Pack instances on their device, then move the result to another one."""
    row, home = instances.row, instances.row.device
    count, height, width = instances.covered.shape
    covered = instances.covered.flatten(1)
    slot = torch.arange(count, device=home) - torch.searchsorted(row, row)

    # Bands of similar area; within a band, instances are in order.
    areas, by_area = covered.sum(dim=1).sort(stable=True)
    empty = int((areas == 0).sum())
    areas, by_area = areas[empty:], by_area[empty:]
    limit = CHUNK_CELLS if device is None or device.type == "cpu" else math.inf
    stops = _band_stops(areas.tolist(), limit)
    sizes = [stop - start for start, stop in zip([0, *stops], stops, strict=False)]
    band = torch.arange(len(sizes), device=home).repeat_interleave(torch.tensor(sizes, device=home).long())
    members = by_area[(band * count + by_area).argsort()]
    lengths = areas[[stop - 1 for stop in stops]]  # padded cells of an instance of each band

    # Entries: the covered cells of the members, each member padded with its first cell.
    owner, cell = covered[members].nonzero().unbind(dim=1)
    areas = covered[members].sum(dim=1)
    position = torch.arange(len(owner), device=home) - (areas.cumsum(dim=0) - areas)[owner]
    padded = lengths[band]
    starts = padded.cumsum(dim=0) - padded
    valid = starts[owner] + position
    entry_owner = torch.arange(len(members), device=home).repeat_interleave(padded)
    entry_cell = cell[(areas.cumsum(dim=0) - areas)[entry_owner]]
    entry_cell[valid] = cell
    instance = members[entry_owner]
    cells = Cells(
        instance=instance,
        row=row[instance],
        slot=slot[instance],
        cell=entry_cell,
        gate=instances.gate[instance],
        strength=instances.strength[instance],
    )
    is_valid = torch.zeros(len(entry_cell), dtype=torch.bool, device=home)
    is_valid[valid] = True

    # Batch cells, and the rank of each entry among the entries of the same cell and band.
    batch_cells = cells.row * (height * width) + entry_cell
    unique = batch_cells[valid].unique()
    queries = torch.searchsorted(unique, batch_cells)
    key, order = (band[owner] * rows * height * width + batch_cells[valid]).sort(stable=True)
    rank = torch.arange(len(key), device=home) - torch.searchsorted(key, key)
    rank = torch.empty_like(rank).scatter(0, order, rank)
    depth = int(rank.max()) + 1 if len(rank) else 1
    levels = (band[owner] * depth + rank).sort(stable=True)
    level_sizes = torch.bincount(levels.values, minlength=len(sizes) * depth).tolist()
    in_levels = valid[levels.indices]
    parts = zip(
        (in_levels - starts[torch.searchsorted(band, band)][owner[levels.indices]]).split(level_sizes),
        batch_cells[in_levels].split(level_sizes),
        strict=True,
    )
    scatter = list(parts)
    peak_floor = torch.where(areas == height * width, -math.inf, 0.0)[:, None]

    bands, first, start = [], 0, 0
    for number, (size, length) in enumerate(zip(sizes, lengths.tolist(), strict=True)):
        stop = start + size * length
        chosen = slice(first, first + size)
        of_band = slice(number * depth, (number + 1) * depth)
        bands.append(
            Band(
                sources=instances.source[members[chosen]],
                valid=is_valid[start:stop].unflatten(0, (size, length)),
                padded=sum(level_sizes[of_band]) < stop - start,
                queries=queries[start:stop],
                scatter=tuple(part for part in scatter[of_band] if len(part[0])),
                peak_floor=peak_floor[chosen],
            )
        )
        first, start = first + size, stop

    packed = PackedInstances(
        rows=rows,
        height=height,
        width=width,
        row=row,
        slot=slot,
        gates=instances.gate,
        counts=tuple(torch.bincount(row, minlength=rows).tolist()),
        covered=unique,
        bands=tuple(bands),
        cells=cells,
        valid=valid,
        valid_cells=cells.select(valid),
    )
    return to_device(packed, device)


def _band_stops(areas: Sequence[int], limit: float) -> list[int]:
    """Ends of the bands of instances with these areas, ascending: similar areas, ``limit`` cells each."""
    stops: list[int] = []
    start = 0
    while start < len(areas):
        most = bisect_right(areas, MAX_AREA_RATIO * areas[start])
        size = bisect_right(range(start, most), limit, key=lambda end: areas[end] * (end + 1 - start))
        start += max(size, 1)
        stops.append(start)
    return stops
