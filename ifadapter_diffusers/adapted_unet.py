"""The adapter's layers inside a diffusers UNet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.modules.attention import InstanceCrossAttention, KeysValues
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_boxes

from .base_model import Conditioning
from .plain_attention import attend, use_plain_attention_on_cpu


@dataclass(frozen=True)
class RowGroup:
    """R rows of a batch with the same N instances.

    rows: R row indices.
    tokens: (R, N, M, D) instance tokens of each row.
    boxes: (N, 4) x0 y0 x1 y1 in 0..1, on the CPU.
    strengths: one factor per instance.
    front_hides_back: see ``SemanticMap``.
    """

    rows: tuple[int, ...]
    tokens: Tensor
    boxes: Tensor
    strengths: tuple[float, ...]
    front_hides_back: bool = False


class AdaptedUNet(nn.Module):
    """A UNet with an adapter in its cross attention.

    Permanently replaces the UNet's attention processors.
    """

    def __init__(self, unet: UNet2DConditionModel, adapter: IFAdapter) -> None:
        super().__init__()
        self.unet = unet
        self.adapter = adapter
        # State of the current pass, kept until backward: gradient checkpointing reruns layers.
        self.instances: _Instances | None = None
        self.packed: dict[tuple[int, int], PackedInstances] = {}  # by grid
        self.latent_size = (0, 0)

        use_plain_attention_on_cpu(unet)
        processors = dict(unet.attn_processors)
        names = list(processors)
        for layer in adapter.config.layers:
            processors[names[layer.processor]] = _Processor(self, str(layer.processor))
        unet.set_attn_processor(processors)

    def forward(
        self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning, groups: Sequence[RowGroup] = ()
    ) -> Tensor:
        """Latents (B, C, h, w) at timesteps (B,) -> the UNet's prediction (B, C, h, w).

        groups: the instances of each row; rows without a group have none.
        """
        groups = [group for group in groups if len(group.boxes)]
        self.instances = _join(groups) if groups else None
        self.packed = {}
        self.latent_size = (latents.shape[-2], latents.shape[-1])
        added = conditioning.added or None
        return self.unet(latents, timesteps, conditioning.text_states, added_cond_kwargs=added).sample

    def residual(self, key: str, q: Tensor) -> Tensor:
        """The instance semantic map that a layer adds to its text cross attention.

        key: of the layer in ``adapter.layers``. q: (B, h*w, C) projected queries. Returns the shape
            and dtype of q.
        """
        if self.instances is None:
            return torch.zeros_like(q)
        layer = self.adapter.layers[key]
        assert isinstance(layer, InstanceCrossAttention)
        projected = self.adapter.keys_values(key, self.instances.tokens)
        instances = KeysValues(*(x.to(q.dtype) for x in (projected.k, projected.v)))
        return layer(q, instances, self._pack(self.instances, q), attend).to(q.dtype)

    def _pack(self, instances: _Instances, q: Tensor) -> PackedInstances:
        """All instances on the grid of a layer, memoized for the pass."""
        grid = grid_of(q.shape[1], *self.latent_size)
        if grid not in self.packed:
            self.packed[grid] = pack_boxes(
                instances.boxes,
                instances.row,
                len(q),
                *grid,
                strengths=instances.strengths,
                device=q.device,
                front_hides_back=instances.front_hides_back,
            )
        return self.packed[grid]


@dataclass(frozen=True, eq=False)
class _Instances:
    """I instances of a batch, side by side; on the CPU except for the tokens.

    tokens: (I, M, D) instance tokens.
    boxes: (I, 4) x0 y0 x1 y1 in 0..1.
    row: (I,) int64 batch row.
    strengths: (I,) float32 factors.
    front_hides_back: (I,) bool, see ``SemanticMap``.
    """

    tokens: Tensor
    boxes: Tensor
    row: Tensor
    strengths: Tensor
    front_hides_back: Tensor


def _join(groups: Sequence[RowGroup]) -> _Instances:
    """The instances of all groups."""
    counts = [len(group.boxes) for group in groups]
    copies = torch.tensor([len(group.rows) for group in groups])
    rows_of_instances = [row for group in groups for row in group.rows for _ in group.strengths]
    return _Instances(
        tokens=torch.cat([group.tokens.flatten(0, 1) for group in groups]),
        boxes=torch.cat([group.boxes.repeat(len(group.rows), 1) for group in groups]),
        row=torch.tensor(rows_of_instances),
        strengths=torch.tensor(
            [factor for group in groups for _ in group.rows for factor in group.strengths]
        ),
        front_hides_back=torch.tensor([group.front_hides_back for group in groups]).repeat_interleave(
            copies * torch.tensor(counts)
        ),
    )


def grid_of(tokens: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a layer with this many tokens. Levels halve height x width, rounding up.

    Raises ValueError if no level has this many tokens.
    """
    rows, columns = height, width
    while rows * columns > tokens:
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    if rows * columns != tokens:
        raise ValueError(
            f"A layer has {tokens} tokens; "
            f"expected latents of {height} x {width} cells, halved any number of times."
        )
    return rows, columns


class _Processor:
    """diffusers' cross attention, plus one layer of the adapter before the output projection."""

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
        k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        out = attend(q, k, v, attn.heads)
        out = out + self.adapted.residual(self.key, q)
        return attn.to_out[1](attn.to_out[0](out))
