"""Gated semantic fusion: features of all instances -> instance semantic map (paper 3.3.2, eq. 5-8).

Features exist on covered cells only. Elsewhere the release's dense computation has constant results
(zero features, an importance equal to the convolution's bias), so nothing is computed there.

Letters in shapes: E, A and P as in ``packing.py``; R batch rows, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FusionOrder, LayerConfig
from ..packed import Band, PackedInstances

EMPTY_SLOT_GATE = 0.5  # sigmoid(0): an empty slot has no area


class CBAM(nn.Module):
    """Channel attention, then spatial attention (Woo et al. 2018), on covered cells only."""

    def __init__(
        self, config: LayerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.channel = nn.Sequential(
            operations.Linear(config.width, config.gate_width, **factory),
            nn.ReLU(),
            operations.Linear(config.gate_width, config.width, **factory),
        )
        kernel = config.gate_kernel
        self.spatial = operations.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False, **factory)

    def channel_attention(self, features: Tensor, band: Band, cells: int) -> Tensor:
        """Features of a band (E, A, C), zero on padding -> gates (E, C) in 0..1.

        cells: size of the whole grid. Max and mean run over all of it, with zeros outside the
            instance.
        """
        peak = features.amax(dim=1)
        peak = peak.clamp(min=band.peak_floor.to(peak.dtype))
        mean = features.sum(dim=1, dtype=torch.float32).div(cells).to(peak.dtype)
        return self.channel(torch.stack([peak, mean])).sum(dim=0).sigmoid()

    def spatial_attention(self, summary: Tensor, packed: PackedInstances) -> Tensor:
        """Max and mean over the channels of the gated features, (2, P) -> gates (P,) in 0..1."""
        grid = summary.new_zeros(len(packed.row), 2, packed.height * packed.width)
        grid[packed.valid_cells.instance, :, packed.valid_cells.cell] = _select(summary.T, packed.valid)
        spatial = self.spatial(grid.unflatten(2, (packed.height, packed.width))).flatten(1)
        return spatial[packed.cells.instance, packed.cells.cell].sigmoid()


class GatedSemanticFusion(nn.Module):
    """Scores each instance on its cells, then mixes the instances by a softmax over slots.

    The "learned gate" of the nodes.

    slots: number of softmax slots; grows to the number of instances of a row.
    order: apply the area gate before or after the softmax.
    """

    def __init__(
        self,
        config: LayerConfig,
        slots: int,
        order: FusionOrder,
        operations: Any,
        device: torch.device | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.slots = slots
        self.order = order
        self.cbam = CBAM(config, operations, device, dtype)
        # A 1x1 convolution, applied as a linear layer to packed cells.
        self.importance = nn.Conv2d(config.width, 1, 1, device=device, dtype=dtype)

    def forward(
        self, features: Iterable[Tensor], packed: PackedInstances, scale: Tensor | float, out: Tensor
    ) -> None:
        """Mix the instances and add the result to ``out`` in place.

        features: one tensor (E, A, C) per band, zero on padding. Consumed lazily, so that a CPU
            summarizes each band while it is in the caches.
        scale: factor on the result.
        out: (R, h*w, C), contiguous, in the dtype of the features; changed on covered cells only.
        """
        # Summarize each band: channel attention, statistics and importance.
        parts, summaries = [], []
        for part, band in zip(features, packed.bands, strict=True):
            parts.append(part.flatten(0, 1))
            summaries.append(self._summarize(part, band, packed.height * packed.width))

        # Softmax over the instances on each cell.
        weights = self._softmax_weights(torch.cat(summaries, dim=1), packed)
        weights = (weights * (packed.cells.strength * scale)).to(out.dtype)

        # Add the weighted features to their cells.
        flat = out.view(-1, out.shape[-1])
        band_weights = weights.split([len(part) for part in parts])
        for part, weight, band in zip(parts, band_weights, packed.bands, strict=True):
            weighted = weight[:, None] * part
            for entries, batch_cells in band.scatter:
                flat.index_add_(0, batch_cells, _select(weighted, entries))

    def _summarize(self, features: Tensor, band: Band, cells: int) -> Tensor:
        """Apply the channel attention to features of a band (E, A, C) and summarize the result.

        Returns (3, E * A): max over the channels, mean over the channels, importance. The
        importance lacks the spatial attention, which needs the statistics of all cells first.
        """
        gated = features * self.cbam.channel_attention(features, band, cells)[:, None]
        weight = self.importance.weight.flatten(1).to(gated)
        importance = F.linear(gated, weight, self._bias().to(gated))[..., 0]
        return torch.stack([gated.amax(dim=2), gated.mean(dim=2), importance]).flatten(1)

    def _bias(self) -> Tensor:
        """Importance of a cell without features, (1,)."""
        return self.importance.get_parameter("bias")

    def _softmax_weights(self, summary: Tensor, packed: PackedInstances) -> Tensor:
        """Summary (3, P) -> float32 softmax weights (P,), undefined on padding.

        As in the release, empty slots and instances that do not cover the cell take part in the
        softmax, with the bias as their importance.
        """
        # The importance is linear, so the spatial gate can be applied to its output.
        bias = self._bias().to(summary.device, torch.float32)
        spatial = self.cbam.spatial_attention(summary[:2], packed)
        importance = (summary[2].float() - bias) * spatial.float() + bias

        # Logits of empty slots, then of instances outside their boxes, then inside.
        gate_first = self.order == "gate_before_softmax"
        logits = self._empty_logits(bias, packed, EMPTY_SLOT_GATE if gate_first else 1.0)
        if gate_first:
            importance = importance * packed.cells.gate
            outside = (bias * packed.gates)[:, None].expand(-1, logits.shape[2])
            logits = logits.index_put((packed.row, packed.slot), outside)
        cells, valid = packed.cells, packed.valid_cells
        logits = logits.index_put((valid.row, valid.slot, valid.cell), _select(importance, packed.valid))

        weights = logits.softmax(dim=1)[cells.row, cells.slot, cells.cell]
        return weights if gate_first else weights * cells.gate

    def _empty_logits(self, bias: Tensor, packed: PackedInstances, gate: float) -> Tensor:
        """Float32 logits (R, slots, h*w) of empty slots; -inf for slots beyond those of a row."""
        slots = [max(self.slots, count) for count in packed.counts]
        logits = (bias * gate).expand(packed.rows, max(slots), packed.height * packed.width)
        if min(slots) < max(slots):
            exists = torch.arange(max(slots)) < torch.tensor(slots)[:, None]
            logits = logits.masked_fill(~exists[..., None].to(logits.device), -math.inf)
        return logits


def _select(x: Tensor, indices: Tensor) -> Tensor:
    """x[indices], without a copy if the indices (sorted, unique) are all of x."""
    return x if len(indices) == len(x) else x.index_select(0, indices)
