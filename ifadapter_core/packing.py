"""Packing: covered cells of all instances of a batch side by side, for one call of a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .bands import Entries, Members, group_by_area, list_entries, numbers, starts
from .geometry import Geometry, rasterize
from .packed import ABSENT, Band, PackedInstances, to_device


def pack_instances(
    geometries: Sequence[Geometry],
    strengths: Sequence[Sequence[float]],
    device: torch.device | None = None,
    sources: Sequence[int] | None = None,
    in_chunks: bool | None = None,
) -> PackedInstances:
    """Pack the instances of a batch. Serves all layers of a grid.

    geometries: one per batch row, all on the same grid.
    strengths: one per instance, for each batch row.
    device: where the result goes; it is computed on the CPU.
    sources: index of the keys and values that each instance uses; default: its own number.
    in_chunks: whether bands are small enough for a CPU's caches, or as few as possible; default:
        whether the result goes to a CPU.

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
    return _pack(instances, len(counts), device, in_chunks)


def pack_boxes(
    boxes: Tensor,
    row: Tensor,
    rows: int,
    height: int,
    width: int,
    strengths: Tensor | None = None,
    device: torch.device | None = None,
    front_hides_back: Tensor | None = None,
    in_chunks: bool | None = None,
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
    in_chunks: see ``pack_instances``.

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
    return _pack(instances, rows, boxes.device if device is None else device, in_chunks)


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


def _pack(
    instances: _Instances, rows: int, device: torch.device | None, in_chunks: bool | None
) -> PackedInstances:
    """Pack instances on their device, then move the result to another one."""
    if in_chunks is None:
        in_chunks = device is None or device.type == "cpu"
    (height, width), row = instances.covered.shape[1:], instances.row
    covered, grid_cells = instances.covered.flatten(1), height * width
    in_row = torch.bincount(row, minlength=rows)
    slot = numbers(row) - starts(in_row)[row]
    members = group_by_area(covered, in_chunks)
    entries = list_entries(covered, row, members)
    valid, owner, total = entries.valid, entries.owner, len(entries.batch_cell)
    instance, batch_cell = members.instance[owner], entries.batch_cell[valid]

    # Covered cells, and the entries of each of them side by side.
    order = batch_cell.argsort(stable=True)
    cells, shared = batch_cell[order].unique_consecutive(return_counts=True)
    position = row.new_empty(rows * grid_cells).scatter(0, cells, numbers(cells))  # of each covered cell
    number = position[batch_cell]
    rank = torch.empty_like(order).scatter(0, order, numbers(order) - starts(shared)[number[order]])
    depth = int(shared.max()) if len(shared) else 0
    place = number * (depth + 1) + rank
    spatial = row.new_zeros(len(cells) * (depth + 1)).scatter(0, place, owner * grid_cells + entries.cell)
    scores = torch.full_like(spatial, 3 * total).scatter(0, place, total + entries.importance)
    cell_gates = instances.gate.new_zeros(len(cells), depth)
    cell_gates[number, rank] = instances.gate[instance]
    cell_logits = torch.full_like(cell_gates, ABSENT)
    cell_logits[number, rank] = 0

    # Instances of the row that do not cover the cell.
    cell_row = cells // grid_cells
    most = int(in_row.max()) if len(row) else 0
    gates = cell_gates.new_zeros(rows, most)
    gates[row, slot] = instances.gate
    outside = (torch.arange(most, device=row.device) < in_row[:, None])[cell_row]
    outside[number, slot[instance]] = False

    # Maximum and mean over the channels, on the grid of each member.
    grid = row.new_full((len(members.instance), 2, grid_cells), 3 * total)
    grid[owner, 0, entries.cell] = valid
    grid[owner, 1, entries.cell] = total + entries.mean

    if len(members.sizes) > 1:
        order = order[members.band[owner[order]].argsort(stable=True)]
    return to_device(
        PackedInstances(
            rows=rows,
            height=height,
            width=width,
            row=row,
            slot=slot,
            gates=instances.gate,
            bands=_bands(instances, members, entries, order, position, in_chunks),
            in_chunks=in_chunks,
            grid=grid.flatten(),
            cells=cells,
            cell_gates=cell_gates,
            cell_logits=cell_logits,
            outside_gates=gates[cell_row],
            outside_logits=torch.where(outside, 0.0, ABSENT),
            in_row=in_row[cell_row][:, None],
            spatial=spatial,
            scores=scores,
            weights=place[order],
            weight_gates=instances.gate[instance[order]],
            strengths=instances.strength[instance[order]],
        ),
        device,
    )


def _bands(
    instances: _Instances,
    members: Members,
    entries: Entries,
    order: Tensor,
    position: Tensor,
    in_chunks: bool,
) -> tuple[Band, ...]:
    """The bands.

    order: (V,) the valid entries, sorted by band and batch cell.
    position: (R * h*w,) number of each covered batch cell among these.
    """
    sizes, lengths = torch.tensor([members.sizes, members.lengths], device=order.device).long()
    whole = instances.covered[members.instance].flatten(1).all(dim=1)
    is_cell = torch.zeros_like(entries.batch_cell, dtype=torch.bool).scatter(0, entries.valid, True)

    # Runs of entries with the same band and batch cell.
    band = members.band[entries.owner[order]]
    key = band * len(position) + entries.batch_cell[entries.valid[order]]
    runs, run_lengths = key.unique_consecutive(return_counts=True)
    in_band = torch.bincount(band, minlength=len(sizes))
    offsets = starts(run_lengths) - starts(in_band)[runs // len(position)]
    runs_in_band = torch.bincount(runs // len(position), minlength=len(sizes)).tolist()
    depths = torch.zeros_like(sizes).scatter_reduce(0, runs // len(position), run_lengths, "amax")

    entry_counts = (sizes * lengths).tolist()
    queries = position[entries.batch_cell] if in_chunks else entries.batch_cell
    parts = zip(
        instances.source[members.instance].split(members.sizes),
        instances.gate[members.instance].split(members.sizes),
        is_cell.split(entry_counts),
        torch.where(whole, -math.inf, 0.0)[:, None].split(members.sizes),
        queries.split(entry_counts),
        (runs % len(position)).split(runs_in_band),
        offsets.split(runs_in_band),
        (entries.valid[order] - starts(sizes * lengths)[band]).split(in_band.tolist()),
        depths.tolist(),
        strict=True,
    )
    return tuple(
        Band(sources, gates, mask.unflatten(0, (len(sources), -1)), *rest)
        for sources, gates, mask, *rest in parts
    )
