"""What one adapted layer costs: cross attention alone, with ours, and with the release's dense arithmetic, side by side in one run.

    python benchmarks/layers.py [--json FILE] [--repeats N] [--device cuda --dtype float16]

At SDXL's size: 1280 wide, 20 heads, 2 rows. The times of one line are taken in turns, so that a machine that is busy now and then slows
all of them; each is the median of its repetitions. Extra time and memory are those over cross attention alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from torch import Tensor, nn

from ifadapter_core.attention import InstanceCrossAttention, InstanceProjection, attend
from ifadapter_core.config import LayerConfig
from ifadapter_core.geometry import build_geometry, cell_range
from ifadapter_core.placement import place

WIDTH, HEADS, TEXT, TOKENS, ROWS, SLOTS = 1280, 20, 2048, 13, 2, 10
GRIDS = ((32, 32), (64, 64), (26, 38))
COUNTS = (1, 4, 10, 32)
KINDS = {"small": 0.2, "medium": 0.35, "overlapping": 0.7}  # sides of the boxes, as parts of the picture's


class Case(NamedTuple):
    grid: tuple[int, int]
    kind: str
    count: int


class CrossAttention(nn.Module):
    """A cross-attention layer of the base model."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_out = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.to_k, self.to_v = nn.Linear(TEXT, WIDTH, bias=False), nn.Linear(TEXT, WIDTH, bias=False)

    def forward(self, x: Tensor, text: Tensor, added: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        q = self.to_q(x)
        out = attend(q, self.to_k(text), self.to_v(text), HEADS)
        return self.to_out(out if added is None else out + added(q))


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
        features = attend(q, k.flatten(0, 1), v.flatten(0, 1), HEADS).transpose(1, 2).unflatten(2, (height, width))
        features = features.unflatten(0, (-1, slots)) * masks[None, :, None]
        cbam, flat = self.layer.fusion.cbam, features.flatten(0, 1)
        channel = (cbam.channel(flat.amax(dim=(2, 3))) + cbam.channel(flat.mean(dim=(2, 3)))).sigmoid()
        scored = flat * channel[:, :, None, None]
        spatial = cbam.spatial(torch.cat([scored.amax(dim=1, keepdim=True), scored.mean(dim=1, keepdim=True)], dim=1)).sigmoid()
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

    @torch.inference_mode()
    def measure(self, case: Case) -> dict[str, Any]:
        (height, width), boxes = case.grid, boxes_of(case.kind, case.count)
        x, text, tokens = self.random(ROWS, height * width, WIDTH), self.random(ROWS, 77, TEXT), self.random(ROWS, case.count, TOKENS, TEXT)
        slots = max(SLOTS, case.count)
        padded = torch.cat([tokens, tokens.new_zeros(ROWS, slots - case.count, TOKENS, TEXT)], dim=1)
        masks = torch.zeros(slots, height, width)
        for mask, box in zip(masks, boxes.tolist(), strict=False):
            cells = cell_range(box, height, width)
            mask[cells.rows, cells.columns] = 1
        masks = masks.to(self.device, self.dtype)
        instances = self.projection(tokens.flatten(0, 1))  # once for each layout
        placement = place([build_geometry(boxes, height, width)] * ROWS, [[1.0] * case.count] * ROWS, self.device)
        calls = {
            "base": lambda: self.base(x, text),
            "ours": lambda: self.base(x, text, lambda q: self.layer(q, instances, placement)),
            "dense": lambda: self.base(x, text, lambda q: self.dense(q, padded, masks)),
        }
        difference = (calls["ours"]() - calls["dense"]()).abs().max().item()
        times = self.times(calls)
        extra = {name: times[name] - times["base"] for name in ("ours", "dense")}
        return {
            **case._asdict(),
            "covered": round(masks.sum().item() / (height * width), 2),
            "base_ms": times["base"],
            "ours_extra_ms": extra["ours"],
            "dense_extra_ms": extra["dense"],
            "ours_over_base": extra["ours"] / times["base"],
            "dense_over_ours": extra["dense"] / max(extra["ours"], 1e-6),
            "largest_difference": difference,
        }

    def times(self, calls: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
        """Median milliseconds of each, taken in turns."""
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(2 + self.repeats):
            for name, call in calls.items():
                self.wait()
                start = time.perf_counter()
                call()
                self.wait()
                taken[name].append(1000 * (time.perf_counter() - start))
        return {name: statistics.median(values[2:]) for name, values in taken.items()}

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("grid", "boxes", "n", "covered", "cross attention", "ours adds", "dense adds", "ours / cross attention", "dense / ours")
    lines = [head, ("---",) * len(head)]
    for row in rows:
        lines.append(
            (
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                f"{row['covered']:.2f}",
                f"{row['base_ms']:.1f} ms",
                f"{row['ours_extra_ms']:.1f} ms",
                f"{row['dense_extra_ms']:.1f} ms",
                f"{100 * row['ours_over_base']:.0f} %",
                f"{row['dense_over_ours']:.0f} x",
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What one adapted layer costs.")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    bench = Bench(torch.device(options.device), getattr(torch, options.dtype), options.repeats)
    rows = [bench.measure(Case(grid, kind, count)) for grid in GRIDS for kind in KINDS for count in COUNTS]
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
