"""Per-instance features -> instance semantic map, by a learned gate (paper 3.3.2, eq. 5-8).

Features exist only on the covered cells of an instance. Everywhere else the release's dense arithmetic gives known
numbers (zero features, an importance equal to the convolution's bias), so nothing is computed there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FusionOrder, LayerConfig
from .packing import Band, PackedInstances

EMPTY_GATE = 0.5  # sigmoid(0): an empty slot has no area


class CBAM(nn.Module):
    """Channel, then spatial attention over the features of instances (Woo et al. 2018), on the cells that they cover only."""

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
        """Features of a band (E, A, C), zero on padding -> (E, C).

        It takes the mean and the maximum of a whole grid of this many cells, which is zero where an instance is not.
        """
        peak = features.amax(dim=1)
        peak = peak.clamp(min=band.least.to(peak.dtype))
        mean = features.sum(dim=1, dtype=torch.float32).div(cells).to(peak.dtype)
        return self.channel(torch.stack([peak, mean])).sum(dim=0).sigmoid()

    def spatial_attention(self, summary: Tensor, packed: PackedInstances) -> Tensor:
        """Maximum and mean over the channels after the channel attention, (2, P) -> (P,)."""
        grid = summary.new_zeros(len(packed.row), 2, packed.height * packed.width)
        grid[packed.own_cells.instance, :, packed.own_cells.cell] = _pick(summary.T, packed.own)
        spatial = self.spatial(grid.unflatten(2, (packed.height, packed.width))).flatten(1)
        return spatial[packed.cells.instance, packed.cells.cell].sigmoid()


class GatedSemanticFusion(nn.Module):
    """Scores every instance on every cell it covers and mixes the instances by a softmax over a number of slots."""

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
        self.importance = nn.Conv2d(
            config.width, 1, 1, device=device, dtype=dtype
        )  # of single cells, so read as a linear layer

    def forward(
        self, features: Iterable[Tensor], packed: PackedInstances, scale: Tensor | float, out: Tensor
    ) -> None:
        """Mix the instances and add them to ``out``.

        features: of each band (E, A, C), zero on padding; each is asked for when it is needed, so that a CPU has it in its caches.
        scale: a factor for all of them. out (R, h*w, C), contiguous and in the dtype of the features: changed in place where an
        instance is.
        """
        parts, summaries = [], []
        for part, band in zip(features, packed.bands, strict=True):
            parts.append(part.flatten(0, 1))
            summaries.append(self._summary(part, band, packed.height * packed.width))
        shares = self._shares(torch.cat(summaries, dim=1), packed) * (packed.cells.strength * scale)
        flat = out.view(-1, out.shape[-1])
        for part, share, band in zip(
            parts, shares.to(out.dtype).split(list(map(len, parts))), packed.bands, strict=True
        ):
            mixed = share[:, None] * part
            for members, places in band.members:
                flat.index_add_(0, places, _pick(mixed, members))

    def _summary(self, features: Tensor, band: Band, cells: int) -> Tensor:
        """Of features (E, A, C) after the channel attention, (3, E * A): maximum and mean over the channels, and importance."""
        gated = features * self.cbam.channel_attention(features, band, cells)[:, None]
        importance = F.linear(gated, self.importance.weight.flatten(1).to(gated), self._bias().to(gated))[
            ..., 0
        ]
        return torch.stack([gated.amax(dim=2), gated.mean(dim=2), importance]).flatten(1)

    def _bias(self) -> Tensor:
        """Importance of a cell without features, (1,)."""
        return self.importance.get_parameter("bias")

    def _shares(self, summary: Tensor, packed: PackedInstances) -> Tensor:
        """Summary (3, P) -> each instance's share of each cell that it covers, float32 (P,); those of padding mean nothing.

        Slots without an instance and instances elsewhere take part in the softmax with the importance of a cell without
        features, which is the bias. More instances than slots: the slots grow to their number.
        """
        bias = self._bias().to(summary.device, torch.float32)
        spatial = self.cbam.spatial_attention(summary[:2], packed)
        importance = (
            summary[2].float() - bias
        ) * spatial.float() + bias  # linear in what it reads, the last of which this is
        before = self.order == "gate_before_softmax"
        logits = self._empty_logits(bias, packed, EMPTY_GATE if before else 1.0)
        if before:
            importance = importance * packed.cells.gate
            logits = logits.index_put(
                (packed.row, packed.slot), (bias * packed.gates)[:, None].expand(-1, logits.shape[2])
            )
        cells, own = packed.cells, packed.own_cells
        logits = logits.index_put((own.row, own.slot, own.cell), _pick(importance, packed.own))
        shares = logits.softmax(dim=1)[cells.row, cells.slot, cells.cell]
        return shares if before else shares * cells.gate

    def _empty_logits(self, bias: Tensor, packed: PackedInstances, gate: float) -> Tensor:
        """Float32 (R, slots, h*w) of slots without instances. A row has more slots than others if it has more instances."""
        slots = [max(self.slots, count) for count in packed.counts]
        logits = (bias * gate).expand(packed.rows, max(slots), packed.height * packed.width)
        if min(slots) < max(slots):
            taken = torch.arange(max(slots)) < torch.tensor(slots)[:, None]
            logits = logits.masked_fill(~taken[..., None].to(logits.device), -math.inf)
        return logits


def _pick(x: Tensor, members: Tensor) -> Tensor:
    """x[members], without a copy when they are all of x."""
    return x if len(members) == len(x) else x.index_select(0, members)
