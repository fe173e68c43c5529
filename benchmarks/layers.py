"""What one adapted layer costs: cross attention alone, with ours, and with the release's dense arithmetic, side by side in one run.

    python benchmarks/layers.py [--json FILE] [--repeats N] [--device cuda --dtype float16]

At SDXL's size: 1280 wide, 20 heads, 2 rows. The times of one line are taken in turns: cross attention, what ours adds to it, what the dense
reference adds to it; so each comes with caches full of the one before. Extra memory is what is held at most while the extra is computed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torch.nn.functional as F
from timing import Timing, markdown, operators, peak_memory, side_by_side
from torch import Tensor, nn
from tqdm import tqdm

from ifadapter_core.attention import InstanceCrossAttention, InstanceProjection, KeysValues
from ifadapter_core.config import LayerConfig
from ifadapter_core.geometry import build_geometry, cell_range
from ifadapter_core.packing import PackedInstances, pack_instances

WIDTH, HEADS, TEXT, TOKENS, ROWS, SLOTS = 1280, 20, 2048, 13, 2, 10
LARGEST = (ROWS, 64 * 64, 960)  # what the UNet joins before its second block of 64 x 64, at 1024 px
GRIDS = ((32, 32), (26, 38), (64, 64))
COUNTS = (1, 4, 10, 32)
KINDS = {
    "small": 0.2,
    "medium": 0.35,
    "overlapping": 0.5,
    "nearly all": 0.7,
}  # sides of the boxes, as parts of the picture's
LARGE, LARGE_KINDS = (64, 64), ("medium", "overlapping")  # the dense reference takes its time there
GROWTH = [((32, 32), count) for count in (1, 2, 4, 8, 16, 32)] + [
    ((side, side), 4) for side in (16, 24, 48, 64)
]  # 512 .. 2048 px


Add = Callable[[Tensor, Tensor], Tensor]  # queries, the attention's output -> that output with more in it


class Case(NamedTuple):
    grid: tuple[int, int]
    kind: str
    count: int


def fused_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (R, S, C), k and v (R, T, C) -> (R, S, C), by torch's own attention."""
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class CrossAttention(nn.Module):
    """A cross-attention layer of the base model."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.to_k, self.to_v = nn.Linear(TEXT, WIDTH, bias=False), nn.Linear(TEXT, WIDTH, bias=False)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        return self.to_out(fused_attention(self.to_q(x), self.to_k(text), self.to_v(text)))


class Dense(nn.Module):
    """The release's arithmetic: keys and values of ten padded slots in every call, over the whole grid, fused by a softmax."""

    def __init__(self, layer: InstanceCrossAttention, projection: InstanceProjection) -> None:
        super().__init__()
        self.layer, self.projection = layer, projection

    def forward(self, q: Tensor, tokens: Tensor, masks: Tensor) -> Tensor:
        """q (R, h*w, C), tokens (R, slots, M, D), masks (slots, h, w), all zero for a slot without an instance."""
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
    """Of one size, at places drawn by lot from a fixed seed: (count, 4)."""
    side = KINDS[kind]
    corners = torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * (1 - side)
    return torch.cat([corners, corners + side], dim=1)


class Bench:
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

    def contestants(self, case: Case) -> tuple[PackedInstances, Add, Add]:
        """Where the boxes lie, what ours adds and what the dense reference adds."""
        (height, width), boxes = case.grid, boxes_of(case.kind, case.count)
        tokens = self.random(ROWS, case.count, TOKENS, TEXT)
        slots = max(SLOTS, case.count)
        padded = torch.cat([tokens, tokens.new_zeros(ROWS, slots - case.count, TOKENS, TEXT)], dim=1)
        masks = torch.zeros(slots, height, width)
        for mask, box in zip(masks, boxes.tolist(), strict=False):
            cells = cell_range(box, height, width)
            mask[cells.rows, cells.columns] = 1
        masks = masks.to(self.device, self.dtype)
        projected = self.projection(tokens.flatten(0, 1))
        instances = KeysValues(
            self.layer.q_norm.scale(projected.k), projected.v
        )  # as IFAdapter.keys_values, once for each layout
        placement = pack_instances(
            [build_geometry(boxes, height, width)] * ROWS, [[1.0] * case.count] * ROWS, self.device
        )

        def ours(q: Tensor, out: Tensor) -> Tensor:
            return self.layer(q, instances, placement, out=out)

        def dense(q: Tensor, out: Tensor) -> Tensor:
            return out + self.dense(q, padded, masks)

        return placement, ours, dense

    @torch.inference_mode()
    def measure(self, case: Case, with_dense: bool = True) -> dict[str, Any]:
        height, width = case.grid
        placement, ours, dense = self.contestants(case)
        x, text = self.random(ROWS, height * width, WIDTH), self.random(ROWS, 77, TEXT)
        q, out = self.base.to_q(x), torch.zeros_like(x)
        calls = {"base": lambda: self.base(x, text), "ours": lambda: ours(q, out)}
        calls |= {"dense": lambda: dense(q, out)} if with_dense else {}
        times = side_by_side(calls, self.repeats)
        row = {
            **case._asdict(),
            "summed_area": placed_cells(placement) / (height * width),
            **{f"{name}_ms": asdict(timing) for name, timing in times.items()},
            "ours_extra_mib": peak_memory(lambda: ours(q, out)),
        }
        if with_dense:
            row["dense_extra_mib"] = peak_memory(lambda: dense(q, out))
            row["largest_difference"] = (dense(q, out) - ours(q, out)).abs().max().item()
        return row

    @torch.inference_mode()
    def count(self, case: Case) -> dict[str, Any]:
        """Operators of a layer."""
        _, ours, dense = self.contestants(case)
        x, text = self.random(ROWS, case.grid[0] * case.grid[1], WIDTH), self.random(ROWS, 77, TEXT)
        q, out = self.base.to_q(x), torch.zeros_like(x)
        calls = {
            "base": lambda: self.base(x, text),
            "ours": lambda: ours(q, out),
            "dense": lambda: dense(q, out),
        }
        return {**case._asdict(), **{name: operators(call) for name, call in calls.items()}}


def placed_cells(placement: PackedInstances) -> int:
    """Cells that instances cover in one row, those of overlaps counted for each."""
    return len(placement.valid) // placement.rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    head = [
        "grid",
        "boxes",
        "n",
        "summed area",
        "cross attention, ms",
        "ours adds, ms",
        "dense adds, ms",
        "ours / cross attention",
    ]
    head += ["dense / ours", "memory, ours", "memory, dense"]
    lines = []
    for row in rows:
        base, ours, dense = (Timing(**row[f"{name}_ms"]) for name in ("base", "ours", "dense"))
        lines.append(
            [
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                f"{row['summed_area']:.2f}",
                str(base),
                str(ours),
                str(dense),
                f"{100 * ours.median / base.median:.1f} %",
                f"{dense.median / ours.median:.0f} x",
                f"{row['ours_extra_mib']:.1f} MiB",
                f"{row['dense_extra_mib']:.1f} MiB",
            ]
        )
    return markdown(head, lines)


def growth_table(rows: Sequence[dict[str, Any]]) -> str:
    """How the cost grows with the cells that boxes cover."""
    lines = []
    for row in rows:
        cells, ours = row["summed_area"] * row["grid"][0] * row["grid"][1], row["ours_ms"]["median"]
        lines.append(
            [
                f"{32 * row['grid'][0]}",
                str(row["count"]),
                f"{cells:.0f}",
                f"{ours:.2f}",
                f"{1000 * ours / cells / ROWS:.2f}",
                f"{100 * ours / row['base_ms']['median']:.1f} %",
            ]
        )
    return markdown(
        ["px", "n", "covered cells", "ours adds, ms", "us for each cell", "ours / cross attention"], lines
    )


def count_table(rows: Sequence[dict[str, Any]]) -> str:
    head = ["boxes", "n", "cross attention", "ours adds", "dense adds"]
    return markdown(
        head,
        [[row["kind"], *(str(row[name]) for name in ("count", "base", "ours", "dense"))] for row in rows],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What one adapted layer costs.")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    bench = Bench(torch.device(options.device), getattr(torch, options.dtype), options.repeats)
    torch.empty(LARGEST)  # as a UNet has done before: it tells a CPU's allocator how much to keep
    grids = [
        Case(grid, kind, count)
        for grid in GRIDS
        for kind in KINDS
        for count in COUNTS
        if grid != LARGE or kind in LARGE_KINDS
    ]
    rows = [bench.measure(case) for case in tqdm(grids, desc="layers", unit="case")]
    print(table(rows))
    growth = [
        bench.measure(Case(grid, "medium", count), with_dense=False)
        for grid, count in tqdm(GROWTH, desc="growth", unit="case")
    ]
    print(growth_table(growth))
    meta = Bench(torch.device("meta"), bench.dtype, 0)
    counts = [
        meta.count(Case((32, 32), kind, count)) for kind in ("medium", "overlapping") for count in COUNTS
    ]
    print(count_table(counts))
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
