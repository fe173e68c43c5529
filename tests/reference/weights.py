"""Random weights in the release's format."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .equations import FREQUENCIES, KERNEL, Checkpoint, StateDict


def make_release_checkpoint(
    seed: int = 0,
    *,
    text_width: int = 24,
    token_width: int | None = None,
    dim: int = 32,
    depth: int = 4,
    heads: int = 2,
    head_dim: int = 16,
    queries: int = 4,
    mlp_ratio: int = 4,
    position_width: int = 48,
    layers: Sequence[tuple[int, int, int]] = ((49, 32, 16), (121, 48, 8)),
) -> Checkpoint:
    """A small random checkpoint in the release's format, float32.

    The scales keep activations near 1, and let the norms, the gate and alpha all matter, so that a wrong
    term changes the output.

    layers: (processor index, width, head size) of each adapted layer.
    """
    generator = torch.Generator().manual_seed(seed)
    token_width = text_width if token_width is None else token_width

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    def add_linear(
        sd: StateDict, name: str, rows: int, columns: int, bias: bool = True, scale: float = 1.0
    ) -> None:
        sd[f"{name}.weight"] = normal(rows, columns, scale=scale / math.sqrt(columns))
        if bias:
            sd[f"{name}.bias"] = normal(rows, scale=0.2)

    def add_norm(sd: StateDict, name: str, width: int) -> None:
        sd[f"{name}.weight"] = 1 + normal(width, scale=0.2)
        sd[f"{name}.bias"] = normal(width, scale=0.1)

    inner = heads * head_dim
    text: StateDict = {"latents": normal(1, queries, dim)}
    add_linear(text, "proj_in", dim, text_width)
    add_linear(text, "proj_out", token_width, dim)
    add_norm(text, "norm_out", token_width)
    add_norm(text, "attention_norm", dim)
    for i in range(depth):
        attention = f"layers.{i}.0"
        add_norm(text, f"{attention}.norm1", dim)
        add_norm(text, f"{attention}.norm2", dim)
        add_linear(text, f"{attention}.to_q", inner, dim, bias=False)
        add_linear(text, f"{attention}.to_kv", 2 * inner, dim, bias=False)
        add_linear(text, f"{attention}.to_out", dim, inner, bias=False)
        text[f"{attention}.q_norm.weight"] = normal(head_dim, scale=0.3)
        text[f"{attention}.k_norm.weight"] = normal(head_dim, scale=0.3)
        mlp = f"layers.{i}.1"
        add_linear(text, f"{mlp}.gate_proj", mlp_ratio * dim, dim, bias=False)
        add_linear(text, f"{mlp}.up_proj", mlp_ratio * dim, dim, bias=False)
        add_linear(text, f"{mlp}.down_proj", dim, mlp_ratio * dim, bias=False)

    adapter: StateDict = {}
    for index, width, size in layers:
        hidden = width // 16
        adapter[f"{index}.alpha"] = torch.tensor(0.8) + normal(1, scale=0.1)[0]
        add_linear(adapter, f"{index}.to_k_ap", width, token_width, bias=False)
        add_linear(adapter, f"{index}.to_v_ap", width, token_width, bias=False)
        adapter[f"{index}.q_norm.weight"] = normal(size, scale=0.3)
        adapter[f"{index}.k_norm.weight"] = normal(size, scale=0.3)
        adapter[f"{index}.cbam.sam.conv.weight"] = normal(1, 2, KERNEL, KERNEL, scale=0.4)
        add_linear(adapter, f"{index}.cbam.cam.linear.0", hidden, width, scale=2.0)
        add_linear(adapter, f"{index}.cbam.cam.linear.2", width, hidden, scale=2.0)
        adapter[f"{index}.conv.weight"] = normal(1, width, 1, 1, scale=6.0 / math.sqrt(width))
        adapter[f"{index}.conv.bias"] = torch.tensor([-0.7]) + normal(1, scale=0.1)

    position: StateDict = {}
    add_linear(position, "linears_position.0", position_width, 8 * FREQUENCIES)
    add_linear(position, "linears_position.2", position_width, position_width, scale=1.5)
    add_linear(position, "linears_position.4", token_width, position_width, scale=1.5)
    return {"text_proj_model": text, "adapter_modules": adapter, "pos_net": position}
