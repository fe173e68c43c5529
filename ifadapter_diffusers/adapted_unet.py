"""The core's adapted layers in a diffusers UNet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.attention import InstanceCrossAttention, KeysValues, attend
from ifadapter_core.geometry import Geometry, build_geometry
from ifadapter_core.packing import PackedInstances, pack_instances

from .base_model import Conditioning
from .plain_attention import attend_plainly


@dataclass(frozen=True)
class RowGroup:
    """The rows of a batch that have the same N boxes.

    rows: R numbers. tokens (R, N, M, D): of the instances in each row. boxes (N, 4): x0 y0 x1 y1 in 0..1, on the CPU.
    front_hides_back: see SemanticMap.
    """

    rows: tuple[int, ...]
    tokens: Tensor
    boxes: Tensor
    strengths: tuple[float, ...]
    front_hides_back: bool = False


class AdaptedUNet(nn.Module):
    """A UNet with an adapter in its cross attention. Takes the UNet's attention processors over for good."""

    def __init__(self, unet: UNet2DConditionModel, adapter: IFAdapter) -> None:
        super().__init__()
        self.unet = unet
        self.adapter = adapter
        self.groups: Sequence[
            RowGroup
        ] = ()  # of the present forward pass, and of the backward pass that belongs to it
        self.placements: dict[tuple[int, int], PackedInstances] = {}  # of the present pass, by grid
        self.latent_size = (0, 0)
        attend_plainly(unet)
        processors = dict(unet.attn_processors)
        names = list(processors)
        for layer in adapter.config.layers:
            processors[names[layer.processor]] = _Processor(self, str(layer.processor))
        unet.set_attn_processor(processors)

    def forward(
        self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning, groups: Sequence[RowGroup] = ()
    ) -> Tensor:
        """latents (B, C, h, w), timesteps (B,) -> the UNet's prediction (B, C, h, w). Rows in no group see no instances."""
        self.groups = [group for group in groups if len(group.boxes)]
        self.placements = {}
        self.latent_size = (latents.shape[-2], latents.shape[-1])
        added = conditioning.added or None
        return self.unet(latents, timesteps, conditioning.text_states, added_cond_kwargs=added).sample

    def residual(self, key: str, q: Tensor) -> Tensor:
        """What the layer of this key adds to its attention's output: q (B, tokens, C) -> the same shape."""
        if not self.groups:
            return torch.zeros_like(q)
        layer = self.adapter.layers[key]
        assert isinstance(layer, InstanceCrossAttention)
        tokens = torch.cat(
            [group.tokens.flatten(0, 1) for group in self.groups]
        )  # of all rows with instances, in their order
        projected = self.adapter.keys_values(key, tokens)
        order = self._order(q.device)
        instances = KeysValues(*(x.to(q.dtype)[order] for x in (projected.k, projected.v)))
        return layer(q, instances, self._placement(q)).to(q.dtype)

    def _order(self, device: torch.device) -> Tensor:
        """The instances of all groups in the order of the batch's rows."""
        rows = [row for group in self.groups for row in group.rows for _ in group.boxes]
        return torch.tensor(rows).sort(stable=True).indices.to(device)

    def _placement(self, q: Tensor) -> PackedInstances:
        """Of all instances on a layer's grid; made once in a pass."""
        cells = grid_of(q.shape[1], *self.latent_size)
        if cells not in self.placements:
            nothing = Geometry(*cells, coverages=(), area_gates=())
            rows: list[tuple[Geometry, tuple[float, ...]]] = [(nothing, ())] * len(q)
            for group in self.groups:
                geometry = build_geometry(group.boxes, *cells, front_hides_back=group.front_hides_back)
                for row in group.rows:
                    rows[row] = (geometry, group.strengths)
            self.placements[cells] = pack_instances(*zip(*rows, strict=True), device=q.device)
        return self.placements[cells]


def grid_of(tokens: int, height: int, width: int) -> tuple[int, int]:
    """The rows and columns of a layer with this many tokens, in a UNet that halves height x width cells and rounds up."""
    rows, columns = height, width
    while rows * columns > tokens:
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    if rows * columns != tokens:
        raise ValueError(
            f"A layer of {tokens} tokens is no half, quarter, .. of latents of {height} x {width} cells."
        )
    return rows, columns


class _Processor:
    """diffusers' plain cross attention with one layer of the adapter."""

    def __init__(self, adapted: AdaptedUNet, key: str) -> None:
        self.adapted, self.key = adapted, key

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        if attention_mask is not None:
            raise ValueError("The adapted layers take no attention mask.")
        q = attn.to_q(hidden_states)
        out = attend(q, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states), attn.heads)
        out = out + self.adapted.residual(self.key, q)
        return attn.to_out[1](attn.to_out[0](out))
