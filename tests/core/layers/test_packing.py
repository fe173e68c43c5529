"""Packing the instances of a batch: covered cells, padding, order and independence of rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.bands import CHUNK_CELLS, MAX_AREA_RATIO
from ifadapter_core.checkpoint import AdapterWeights, build_adapter, read_checkpoint
from ifadapter_core.geometry import build_geometry
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_instances

HEIGHT, WIDTH = 5, 7
BOXES = [
    (0.0, 0.0, 1.0, 1.0),
    (0.1, 0.1, 0.3, 0.3),
    (0.2, 0.0, 0.9, 0.6),
    (0.1, 0.1, 0.3, 0.3),
    (0.5, 0.5, 0.8, 1.0),
]


def pack(rows: Sequence[Sequence[int]], front_hides_back: bool = False) -> PackedInstances:
    """Pack a batch. rows: indices into BOXES for each batch row."""
    boxes = [torch.tensor([BOXES[number] for number in row]).reshape(-1, 4) for row in rows]
    return pack_instances(
        [build_geometry(part, HEIGHT, WIDTH, None, front_hides_back) for part in boxes],
        [[1.0] * len(row) for row in rows],
    )


def coverage_counts(packed: PackedInstances) -> Tensor:
    """Number of entries per instance and cell: (instances, cells)."""
    counts = torch.zeros(len(packed.row), HEIGHT * WIDTH, dtype=torch.long)
    for band in packed.bands:
        owners = band.sources[:, None].expand_as(band.is_cell).flatten()[band.entries]
        ends = torch.cat([band.offsets[1:], torch.tensor([len(band.entries)])])
        batch_cells = band.cells.repeat_interleave(ends - band.offsets)
        assert batch_cells.equal(packed.cells[band.queries[band.entries]])
        assert (batch_cells // (HEIGHT * WIDTH)).equal(packed.row[owners])
        counts.index_put_((owners, batch_cells % (HEIGHT * WIDTH)), torch.tensor(1), accumulate=True)
    return counts


def test_bands_on_a_cpu_are_limited_to_chunks() -> None:
    """Small bands fit into the caches. An instance is never split."""
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], *([[0.0, 0.0, 0.5, 0.5]] * 5)])
    packed = pack_instances([build_geometry(boxes, 32, 32)], [[1.0] * 6])
    assert sorted(tuple(band.is_cell.shape) for band in packed.bands) == [
        (1, 256),
        (1, 1024),
        (2, 256),
        (2, 256),
    ]
    assert CHUNK_CELLS == 2 * 256


rows_of_instances = st.lists(st.lists(st.sampled_from(range(len(BOXES))), max_size=6), min_size=1, max_size=4)


@given(rows=rows_of_instances, hides=st.booleans())
def test_every_covered_cell_is_packed_once(rows: list[list[int]], hides: bool) -> None:
    packed = pack(rows, hides)
    wanted = []
    for row in filter(None, rows):
        masks = reference.box_masks(torch.tensor([BOXES[number] for number in row]), HEIGHT, WIDTH)
        for slot in range(len(row)):
            hidden = masks[slot + 1 :].any(dim=0) if hides else torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
            wanted.append((masks[slot] & ~hidden).flatten().long())
    assert coverage_counts(packed).equal(
        torch.stack(wanted) if wanted else torch.zeros(0, HEIGHT * WIDTH, dtype=torch.long)
    )
    assert packed.row.tolist() == [row for row, part in enumerate(rows) for _ in part]
    assert packed.slot.tolist() == [slot for part in rows for slot in range(len(part))]


@given(rows=rows_of_instances)
def test_padding_is_bounded_and_repeats_a_cell(rows: list[list[int]]) -> None:
    packed = pack(rows)
    for band in packed.bands:
        assert band.is_cell.numel() <= MAX_AREA_RATIO * int(band.is_cell.sum())
        assert band.entries.sort().values.equal(band.is_cell.flatten().nonzero()[:, 0])
        batch_cells = packed.cells[band.queries].view_as(band.is_cell)
        assert torch.where(band.is_cell, batch_cells[:, :1], batch_cells).equal(
            batch_cells[:, :1].expand_as(batch_cells)
        )


def residual(rows: Sequence[Sequence[int]], slots: int, q: Tensor, tokens: Sequence[Tensor]) -> Tensor:
    weights = read_checkpoint(reference.make_release_checkpoint(0))
    settings = {**vars(weights.config.settings), "slots": slots}
    config = type(weights.config)(
        **{**vars(weights.config), "settings": type(weights.config.settings)(**settings)}
    )
    net = build_adapter(AdapterWeights(config, weights.tensors))
    name, layer = next(iter(net.layers.items()))
    both = net.keys_values(name, torch.cat(list(tokens)))
    return layer(q, both, pack(rows))


@pytest.mark.parametrize("slots", [2, 3, 10])
def test_rows_with_different_instances_are_independent(slots: int) -> None:
    """Rows with more instances than slots, fewer, and none."""
    rows = [[0, 1, 2, 3], [], [4], [1, 4]]
    weights = read_checkpoint(reference.make_release_checkpoint(0))
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(len(rows), HEIGHT * WIDTH, weights.config.layers[0].width, generator=generator)
    tokens = [
        torch.randn(len(row), 13, weights.config.layers[0].token_width, generator=generator) for row in rows
    ]
    together = residual(rows, slots, q, tokens)
    for number, row in enumerate(rows):
        alone = residual([row], slots, q[number : number + 1], tokens[number : number + 1])
        assert torch.allclose(together[number], alone[0], atol=1e-5)
    assert together[1].abs().max() == 0 < together[2].abs().max()
