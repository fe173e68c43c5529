"""The adapter's layers for training on a GPU: dense in slots, so that no shape depends on the boxes.

Gives what ``ifadapter_core`` gives on packed cells. A picture of S slots computes all S instances on
all cells and masks the result, without waiting for the GPU to count covered cells.

Letters in shapes: B pictures, S slots, N = h*w cells, M tokens per instance, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.modules.norm import rms_normalize
from ifadapter_core.modules.plan import EMPTY_SLOT_GATE
from ifadapter_diffusers.adapted_unet import AdaptedUNet, grid_of
from ifadapter_diffusers.base_model import Conditioning
from ifadapter_diffusers.plain_attention import attend


@dataclass(frozen=True)
class Slots:
    """The instances of B pictures.

    tokens: (B, S, M, D) instance tokens.
    boxes: float32 (B, S, 4) x0 y0 x1 y1 in 0..1.
    present: bool (B, S), False for empty slots.
    """

    tokens: Tensor
    boxes: Tensor
    present: Tensor


@dataclass(frozen=True)
class Grid:
    """Slots on a grid of h x w cells.

    covered: bool (B, S, N).
    gates: float32 (B, S) area gates; EMPTY_SLOT_GATE for empty slots.
    """

    height: int
    width: int
    covered: Tensor
    gates: Tensor


def covered_cells(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cells of boxes (B, S, 4): bool (B, S, h*w). As ``cell_range``."""
    columns = torch.arange(width, device=boxes.device)
    rows = torch.arange(height, device=boxes.device)
    inside_x = _covered(boxes[..., 0] * width, boxes[..., 2] * width, columns)
    inside_y = _covered(boxes[..., 1] * height, boxes[..., 3] * height, rows)
    return (inside_y[..., :, None] & inside_x[..., None, :]).flatten(2)


def _covered(start: Tensor, end: Tensor, cells: Tensor) -> Tensor:
    first = start.floor().clamp(max=len(cells) - 1)[..., None]
    return (cells >= first) & (cells < torch.maximum(end.ceil()[..., None], first + 1))


def grid_of_slots(boxes: Tensor, present: Tensor, height: int, width: int) -> Grid:
    """boxes (B, S, 4), present (B, S): see ``Slots``."""
    covered = covered_cells(boxes, height, width) & present[..., None]
    foreground = covered.any(dim=1).sum(dim=-1, keepdim=True)
    gates = (foreground / covered.sum(dim=-1).clamp(min=1)).sigmoid()
    return Grid(height, width, covered, torch.where(present, gates, EMPTY_SLOT_GATE))


class SlotUNet(AdaptedUNet):
    """A UNet with an adapter that also takes ``Slots``.

    Raises ValueError for an adapter whose area gate comes after the softmax, or whose number of
    slots differs from that of the pictures.
    """

    def __init__(self, unet: Any, adapter: IFAdapter) -> None:
        super().__init__(unet, adapter)
        order = adapter.config.settings.fusion_order
        if order != "gate_before_softmax":
            raise ValueError(f"The adapter has the fusion order {order}; expected gate_before_softmax.")
        self.slots: Slots | None = None
        self.grids: dict[tuple[int, int], Grid] = {}

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning, slots: Slots) -> Tensor:
        """Latents (B, C, h, w) at timesteps (B,) -> the UNet's prediction (B, C, h, w)."""
        wanted = self.adapter.config.settings.slots
        if slots.boxes.shape[1] != wanted:
            raise ValueError(
                f"The pictures have {slots.boxes.shape[1]} slots and the adapter has {wanted}: "
                "set adapter.shape.slots to the largest number of instances."
            )
        self.slots, self.grids = slots, {}
        try:
            return self(latents, timesteps, conditioning)
        finally:
            self.slots = None

    def residual(self, key: str, q: Tensor) -> Tensor:
        if self.slots is None:
            return super().residual(key, q)
        size = grid_of(q.shape[1], *self.latent_size)
        if size not in self.grids:
            self.grids[size] = grid_of_slots(self.slots.boxes, self.slots.present, *size)
        return dense_residual(self.adapter, key, q, self.slots.tokens, self.grids[size])


def dense_residual(
    adapter: IFAdapter, key: str, q: Tensor, tokens: Tensor, grid: Grid, evenly: bool = False
) -> Tensor:
    """What ``InstanceCrossAttention`` adds to the text cross attention: (B, N, C), dtype of q.

    key: of the layer in ``adapter.layers``. q: (B, N, C) projected queries.
    tokens: (B, S, M, D) instance tokens.
    evenly: replace the learned gate: the instances that cover a cell share equally what the gate gives
        them together.
    """
    layer: Any = adapter.layers[key]
    projected = adapter.keys_values(key, tokens)
    k, v = projected.k.to(q.dtype), projected.v.to(q.dtype)
    queries = rms_normalize(q.unflatten(-1, (layer.heads, -1))).flatten(-2)[:, None]
    queries = queries.expand(-1, k.shape[1], -1, -1).flatten(0, 1)  # B*S, N, C
    features = attend(queries, k.flatten(0, 1), v.flatten(0, 1), layer.heads)
    features = features.unflatten(0, k.shape[:2]) * grid.covered[..., None].to(q.dtype)  # B, S, N, C
    weights = _weights(layer.fusion, features, grid)
    if evenly:
        covering = grid.covered.to(weights.dtype)
        weights = covering * (weights * covering).sum(1, True) / covering.sum(1, True).clamp(min=1)
    weights = (weights * layer.alpha.float().tanh()).to(q.dtype)
    return (weights[..., None] * features).sum(dim=1).to(q.dtype)


def _weights(fusion: Any, features: Tensor, grid: Grid) -> Tensor:
    """Softmax weights over the slots, float32 (B, S, N); see ``GatedSemanticFusion``."""
    # Channel attention.
    cells = features.shape[2]
    peak, mean = features.amax(dim=2), features.sum(dim=2, dtype=torch.float32) / cells
    channels = fusion.cbam.channel(torch.stack([peak, mean.to(peak.dtype)])).sum(dim=0).sigmoid()
    gated = features * channels[:, :, None].to(features.dtype)

    # Spatial attention.
    summary = torch.stack([gated.amax(dim=3), gated.mean(dim=3)], dim=2)  # B, S, 2, N
    maps = summary.flatten(0, 1).unflatten(2, (grid.height, grid.width))
    spatial = fusion.cbam.spatial(maps).flatten(1).unflatten(0, features.shape[:2]).float().sigmoid()

    # Importance: of the instance on its cells, constant elsewhere.
    weight = fusion.importance.weight.flatten(1)
    bias = fusion.importance.bias.float()
    importance = F.linear(gated, weight.to(gated.dtype))[..., 0].float() * spatial
    logits = (importance * grid.covered + bias) * grid.gates[..., None]
    return logits.softmax(dim=1)
