"""Layouts of all kinds packed as on a GPU, and one small layer's plan for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifadapter_core.config import LayerConfig
from ifadapter_core.geometry import Geometry, build_geometry, crop
from ifadapter_core.layout import Box
from ifadapter_core.modules.attention import InstanceCrossAttention
from ifadapter_core.modules.plan import LayerPlan, make_plan
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_instances

HEADS, HEAD_DIM, TOKENS, SLOTS = 2, 8, 13, 10
WIDTH = HEADS * HEAD_DIM
GRID = (32, 32)
SIDES = {"small": (0.2, 0.2), "medium": (0.35, 0.35), "overlapping": (0.5, 0.5), "unlike": (0.1, 0.55)}
ORDERS = ("gate_before_softmax", "gate_after_softmax")
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def boxes_of(kind: str, count: int, seed: int = 0) -> Tensor:
    """Boxes at random positions; their sides are those of the kind, or between them."""
    generator = torch.Generator().manual_seed(seed)
    low, high = SIDES[kind]
    sides = low + (high - low) * torch.rand(count, 2, generator=generator)
    corners = torch.rand(count, 2, generator=generator) * (1 - sides)
    return torch.cat([corners, corners + sides], dim=1)


def geometries() -> Iterator[tuple[str, list[Geometry]]]:
    """The instances of each row of a batch, with a name."""
    for kind in SIDES:
        for count in (1, 4, 10, 32):
            for rows in (2, 6):
                yield f"{count} {kind}, {rows} rows", [build_geometry(boxes_of(kind, count), *GRID)] * rows
    yield (
        "a layout for each image",
        [build_geometry(boxes_of("unlike", count, count), *GRID) for count in (3, 12, 0, 5)] * 2,
    )
    windows = [Box(0.0, 0.0, 0.6, 0.6), Box(0.4, 0.0, 1.0, 0.6), Box(0.4, 0.4, 1.0, 1.0)]
    yield (
        "windows",
        [build_geometry(crop(boxes_of("medium", 4), window)[0], *GRID) for window in windows] * 2,
    )
    masks = torch.rand(4, 40, 40, generator=torch.Generator().manual_seed(1))
    yield "masks", [build_geometry(boxes_of("medium", 4), *GRID, masks)] * 2
    yield "front hides back", [build_geometry(boxes_of("overlapping", 10), *GRID, None, True)] * 2


def pack(parts: list[Geometry], **options: Any) -> PackedInstances:
    return pack_instances(parts, [[1.0] * len(part.coverages) for part in parts], **options)


class Layer(NamedTuple):
    """A layer with queries, its plan for a batch, and the tensor that it adds to."""

    layer: InstanceCrossAttention
    plan: LayerPlan
    q: Tensor
    out: Tensor


def make_layer(
    packed: PackedInstances, dtype: torch.dtype, order: Any = ORDERS[0], device: str = "cpu"
) -> Layer:
    """A layer of random weights in float32, as in the host, for queries of a dtype."""
    torch.manual_seed(0)
    config = LayerConfig(0, HEADS, HEAD_DIM, token_width=8, gate_width=4, gate_kernel=7)
    layer = InstanceCrossAttention(config, SLOTS, order, nn, torch.device(device), None)
    nn.init.ones_(layer.alpha)
    layer.requires_grad_(False)
    count = len(packed.row)
    k, v = (torch.randn(count, TOKENS, WIDTH, dtype=dtype, device=device) for _ in range(2))
    q = torch.randn(packed.rows, packed.height * packed.width, WIDTH, dtype=dtype, device=device)
    plan = make_plan(layer.weights(q.device, dtype), k, v, packed)
    return Layer(layer, plan, q, torch.zeros_like(q))


def fused_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """One operator, as ComfyUI's attention is one kernel on a GPU."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
