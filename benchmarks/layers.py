"""Cost of one adapted layer: cross attention alone, ours, and the dense arithmetic of the release.

    python benchmarks/layers.py [--json FILE] [--repeats N] [--device cuda --dtype float16]

At SDXL's size: 1280 channels, 20 heads, 2 rows. The times in a line of the table are interleaved:
cross attention, what ours adds to it, what the dense reference adds to it, and again. So each
starts with the caches that another one filled. Memory is the peak of new tensors while the addition
is computed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F
from tables import growth_table, operator_table, time_table
from timing import operators, peak_memory, side_by_side
from torch import Tensor, nn

from ifadapter_core.config import LayerConfig
from ifadapter_core.geometry import build_geometry, cell_range
from ifadapter_core.modules.attention import (
    InstanceCrossAttention,
    InstanceProjection,
    KeysValues,
    add_semantic_map,
    attend,
)
from ifadapter_core.modules.plan import make_plan
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_instances

WIDTH, HEADS, TEXT = 1280, 20, 2048  # channels, attention heads, channels of the text
TOKENS, ROWS = 13, 2  # tokens per instance, rows of the batch
SLOTS = 10  # instances that the dense reference pads to
# Largest tensor of SDXL's UNet at 1024 px: the input of its second 64 x 64 block.
LARGEST = (ROWS, 64 * 64, 960)
GRIDS = ((32, 32), (26, 38), (64, 64))
COUNTS = (1, 4, 10, 32)  # instances
# Sides of the boxes, as fractions of the picture's sides.
KINDS = {"small": 0.2, "medium": 0.35, "overlapping": 0.5, "nearly all": 0.7}
# Fewer cases on the large grid, because the dense reference is slow there.
LARGE, LARGE_KINDS = (64, 64), ("medium", "overlapping")
# Grids and counts of the growth table: by count at 1024 px, by size from 512 to 2048 px.
GROWTH = [((32, 32), count) for count in (1, 2, 4, 8, 16, 32)]
GROWTH += [((side, side), 4) for side in (16, 24, 48, 64)]

# (queries, output of cross attention) -> that output plus the instance features
Add = Callable[[Tensor, Tensor], Tensor]


class Case(NamedTuple):
    """A measured case.

    grid: height and width in cells.
    kind: key of KINDS.
    count: number of instances.
    """

    grid: tuple[int, int]
    kind: str
    count: int


def fused_attention(q: Tensor, k: Tensor, v: Tensor, heads: int = HEADS) -> Tensor:
    """q (R, S, C), k and v (R, T, C) -> (R, S, C), by torch's fused attention."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    """A cross-attention layer of the base model, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.to_k, self.to_v = nn.Linear(TEXT, WIDTH, bias=False), nn.Linear(TEXT, WIDTH, bias=False)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        return self.to_out(fused_attention(self.to_q(x), self.to_k(text), self.to_v(text)))


class Dense(nn.Module):
    """The arithmetic of the release, with the weights of our layer.

    Every call projects keys and values of all padded slots and attends over the whole grid.
    """

    def __init__(self, layer: InstanceCrossAttention, projection: InstanceProjection) -> None:
        super().__init__()
        self.layer, self.projection = layer, projection

    def forward(self, q: Tensor, tokens: Tensor, masks: Tensor) -> Tensor:
        """q (R, h*w, C), tokens (R, slots, M, D), masks (slots, h, w), zero for empty slots."""
        slots, height, width = masks.shape
        k, v = self.projection.k_norm(self.projection.to_k_ap(tokens)), self.projection.to_v_ap(tokens)
        q = self.layer.q_norm(q).repeat_interleave(slots, dim=0)
        features = (
            fused_attention(q, k.flatten(0, 1), v.flatten(0, 1)).transpose(1, 2).unflatten(2, (height, width))
        )
        features = features.unflatten(0, (-1, slots)) * masks[None, :, None]
        cbam, flat = self.layer.fusion.cbam, features.flatten(0, 1)
        channel = (cbam.channel(flat.amax(dim=(2, 3))) + cbam.channel(flat.mean(dim=(2, 3)))).sigmoid()
        scored = flat * channel[:, :, None, None]
        spatial = cbam.spatial(
            torch.cat([scored.amax(dim=1, keepdim=True), scored.mean(dim=1, keepdim=True)], dim=1)
        ).sigmoid()
        importance = self.layer.fusion.importance(scored * spatial)[:, 0].unflatten(0, (-1, slots))
        area = masks.sum(dim=(1, 2))
        foreground = masks.amax(dim=0).sum()
        gates = torch.where(area > 0, foreground / area.clamp(min=1), 0).sigmoid()
        weights = (importance * gates[:, None, None]).softmax(dim=1)
        fused = (weights[:, :, None] * features).sum(dim=1) * masks.amax(dim=0)
        return self.layer.alpha.tanh() * fused.flatten(2).transpose(1, 2)


def boxes_of(kind: str, count: int) -> Tensor:
    """Boxes of one size, at positions deterministically sampled from ``count``: (count, 4)."""
    side = KINDS[kind]
    corners = torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * (1 - side)
    return torch.cat([corners, corners + side], dim=1)


def addition(layer: InstanceCrossAttention, instances: KeysValues, packed: PackedInstances) -> Add:
    """What a layer adds to its cross attention, with everything prepared that is the same in each call.

    Attention is that of ComfyUI's patch: the core's for bands in chunks, as on a CPU, else torch's
    fused one.
    """
    weights = layer.weights(instances.k.device, instances.k.dtype)
    plan = make_plan(weights, instances.k, instances.v, packed)
    attention = attend if packed.in_chunks else fused_attention

    def add(q: Tensor, out: Tensor) -> Tensor:
        return add_semantic_map(q, plan, attention, out)

    return add


class Bench:
    """The layers under test, on one device and with one dtype."""

    def __init__(self, device: torch.device, dtype: torch.dtype, repeats: int) -> None:
        torch.manual_seed(0)
        config = LayerConfig(0, HEADS, WIDTH // HEADS, TEXT, WIDTH // 16, 7)
        place_on: dict[str, Any] = {"device": device, "dtype": dtype}
        self.device, self.dtype, self.repeats = device, dtype, repeats
        self.layer = InstanceCrossAttention(config, SLOTS, "gate_before_softmax", nn, device, dtype)
        self.projection = InstanceProjection(config, nn, device, dtype)
        self.base = CrossAttention().to(**place_on)
        self.dense = Dense(self.layer, self.projection)
        for parameter in [*self.layer.parameters()]:
            nn.init.normal_(parameter, std=0.02)
        nn.init.ones_(self.layer.alpha)

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, device=self.device, dtype=self.dtype)

    def prepare(self, case: Case, in_chunks: bool | None = None) -> tuple[PackedInstances, Add, Add]:
        """The packed instances of a case, our addition and that of the dense reference.

        in_chunks: see ``pack_instances``.
        """
        (height, width), boxes = case.grid, boxes_of(case.kind, case.count)
        tokens = self.random(ROWS, case.count, TOKENS, TEXT)
        slots = max(SLOTS, case.count)
        padded = torch.cat([tokens, tokens.new_zeros(ROWS, slots - case.count, TOKENS, TEXT)], dim=1)

        # Masks of the dense reference; empty slots stay 0.
        masks = torch.zeros(slots, height, width)
        for mask, box in zip(masks, boxes.tolist(), strict=False):
            cells = cell_range(box, height, width)
            mask[cells.rows, cells.columns] = 1
        masks = masks.to(self.device, self.dtype)

        # Keys, values and cells of ours, as IFAdapter.keys_values prepares them once per layout.
        projected = self.projection(tokens.flatten(0, 1))
        instances = KeysValues(self.layer.q_norm.scale(projected.k), projected.v)
        geometries, strengths = [build_geometry(boxes, height, width)] * ROWS, [[1.0] * case.count] * ROWS
        packed = pack_instances(geometries, strengths, self.device, in_chunks=in_chunks)

        ours = addition(self.layer, instances, packed)

        def dense(q: Tensor, out: Tensor) -> Tensor:
            return out + self.dense(q, padded, masks)

        return packed, ours, dense

    @torch.inference_mode()
    def measure(self, case: Case, with_dense: bool = True) -> dict[str, Any]:
        """Times and peak memory of a case: one row of the report."""
        height, width = case.grid
        packed, ours, dense = self.prepare(case)
        x, text = self.random(ROWS, height * width, WIDTH), self.random(ROWS, 77, TEXT)
        q, out = self.base.to_q(x), torch.zeros_like(x)
        calls = {"base": lambda: self.base(x, text), "ours": lambda: ours(q, out)}
        calls |= {"dense": lambda: dense(q, out)} if with_dense else {}
        times = side_by_side(calls, self.repeats)
        row = {
            **case._asdict(),
            "summed_area": packed_cells(packed) / (height * width),
            **{f"{name}_ms": asdict(timing) for name, timing in times.items()},
            "ours_extra_mib": peak_memory(lambda: ours(q, out)),
        }
        if with_dense:
            row["dense_extra_mib"] = peak_memory(lambda: dense(q, out))
            row["largest_difference"] = (dense(q, out) - ours(q, out)).abs().max().item()
        return row

    @torch.inference_mode()
    def count(self, case: Case) -> dict[str, Any]:
        """Operators per layer of cross attention, ours and the dense reference, packed as on a GPU."""
        _, ours, dense = self.prepare(case, in_chunks=False)
        x, text = self.random(ROWS, case.grid[0] * case.grid[1], WIDTH), self.random(ROWS, 77, TEXT)
        q, out = self.base.to_q(x), torch.zeros_like(x)
        calls = {
            "base": lambda: self.base(x, text),
            "ours": lambda: ours(q, out),
            "dense": lambda: dense(q, out),
        }
        return {**case._asdict(), **{name: operators(call) for name, call in calls.items()}}


def packed_cells(packed: PackedInstances) -> int:
    """Cells that instances cover in one row; overlaps count once per instance."""
    return len(packed.weights) // packed.rows


def main() -> None:
    from tqdm import tqdm  # here, because `make gpu` imports this file where it may be missing

    parser = argparse.ArgumentParser(description="Cost of one adapted layer.")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls, after one warm-up")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    bench = Bench(torch.device(options.device), getattr(torch, options.dtype), options.repeats)
    torch.empty(LARGEST)  # as in a UNet: raises the size up to which the CPU allocator keeps memory
    grids = [
        Case(grid, kind, count)
        for grid in GRIDS
        for kind in KINDS
        for count in COUNTS
        if grid != LARGE or kind in LARGE_KINDS
    ]
    rows = [bench.measure(case) for case in tqdm(grids, desc="layers", unit="case")]
    print(time_table(rows))
    growth = [
        bench.measure(Case(grid, "medium", count), with_dense=False)
        for grid, count in tqdm(GROWTH, desc="growth", unit="case")
    ]
    print(growth_table(growth, ROWS))
    counts = [
        bench.count(Case((32, 32), kind, count)) for kind in ("medium", "overlapping") for count in COUNTS
    ]
    print(operator_table(counts))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        setting = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": options.device,
            "dtype": options.dtype,
        }
        options.json.write_text(
            json.dumps({**setting, "rows": rows, "growth": growth, "operators": counts}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
