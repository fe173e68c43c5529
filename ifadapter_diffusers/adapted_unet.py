"""The adapter's layers inside a diffusers UNet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.modules.attention import add_semantic_map
from ifadapter_core.modules.plan import LayerPlan, make_plan
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_boxes

from .base_model import Conditioning
from .plain_attention import attend, use_plain_attention_on_cpu


@dataclass(frozen=True, eq=False)
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
        self.instances = BatchInstances(())
        self.latent_size = (0, 0)

        use_plain_attention_on_cpu(unet)
        processors = dict(unet.attn_processors)
        names = list(processors)
        for layer in adapter.config.layers:
            processors[names[layer.processor]] = _Processor(self, str(layer.processor))
        unet.set_attn_processor(processors)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        groups: Sequence[RowGroup] | BatchInstances = (),
    ) -> Tensor:
        """Latents (B, C, h, w) at timesteps (B,) -> the UNet's prediction (B, C, h, w).

        groups: the instances of each row; rows without a group have none. Join them once, as
            ``BatchInstances``, for several passes without gradients: its plans are kept.
        """
        self.instances = groups if isinstance(groups, BatchInstances) else BatchInstances(groups)
        self.latent_size = (latents.shape[-2], latents.shape[-1])
        added = conditioning.added or None
        return self.unet(latents, timesteps, conditioning.text_states, added_cond_kwargs=added).sample

    def residual(self, key: str, q: Tensor) -> Tensor:
        """The instance semantic map that a layer adds to its text cross attention.

        key: of the layer in ``adapter.layers``. q: (B, h*w, C) projected queries. Returns the shape
            and dtype of q.
        """
        if not self.instances.row.numel():
            return torch.zeros_like(q)
        if torch.is_grad_enabled():  # a rerun of gradient checkpointing needs a plan with gradients
            return add_semantic_map(q, self._make_plan(key, q), attend).to(q.dtype)
        plans, name = self.instances.plans, (key, q.shape[:2], self.latent_size, q.device, q.dtype)
        if name not in plans:
            plans[name] = self._make_plan(key, q)
        return add_semantic_map(q, plans[name], attend)

    def _make_plan(self, key: str, q: Tensor) -> LayerPlan:
        layer: Any = self.adapter.layers[key]
        instances = self.adapter.keys_values(key, self.instances.tokens)
        packed = self.instances.pack(grid_of(q.shape[1], *self.latent_size), len(q), q.device)
        return make_plan(layer.weights(q.device, q.dtype), instances.k, instances.v, packed)


class BatchInstances:
    """All I instances of a batch, side by side, and what the layers derive from them.

    tokens: (I, M, D) instance tokens.
    boxes: (I, 4) x0 y0 x1 y1 in 0..1, on the CPU.
    row: (I,) int64 batch row, on the CPU.
    strengths: (I,) float32 factors, on the CPU.
    front_hides_back: (I,) bool, see ``SemanticMap``, on the CPU.
    plans: plans of layers without gradients. They hold for unchanged weights of the adapter.
    """

    def __init__(self, groups: Iterable[RowGroup]) -> None:
        groups = [group for group in groups if len(group.boxes)]
        rows = [row for group in groups for row in group.rows for _ in group.strengths]
        strengths = [each for group in groups for _ in group.rows for each in group.strengths]
        hides = [
            group.front_hides_back for group in groups for _ in range(len(group.rows) * len(group.boxes))
        ]
        self.row = torch.tensor(rows, dtype=torch.long)
        self.strengths = torch.tensor(strengths, dtype=torch.float32)
        self.front_hides_back = torch.tensor(hides, dtype=torch.bool)
        self.boxes = torch.zeros(0, 4)
        self.tokens = torch.zeros(0, 0, 0)
        if groups:
            self.boxes = torch.cat([group.boxes.repeat(len(group.rows), 1) for group in groups])
            self.tokens = torch.cat([group.tokens.flatten(0, 1) for group in groups])
        self.plans: dict[tuple, LayerPlan] = {}
        self._packed: dict[tuple, PackedInstances] = {}

    def pack(self, grid: tuple[int, int], rows: int, device: torch.device) -> PackedInstances:
        """The instances on a grid, memoized."""
        key = (grid, rows, device)
        if key not in self._packed:
            # On a CUDA device it is packed there, so that no tensor of the result is uploaded.
            self._packed[key] = pack_boxes(
                self.boxes.to(device) if device.type == "cuda" else self.boxes,
                self.row,
                rows,
                *grid,
                strengths=self.strengths,
                device=device,
                front_hides_back=self.front_hides_back if self.front_hides_back.any() else None,
            )
        return self._packed[key]


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
