"""Per-instance features -> instance semantic map, by a learned gate (paper 3.3.2, eq. 5-8).

Features exist only on the covered cells of an instance. Everywhere else the release's dense arithmetic gives known
numbers (zero features, an importance equal to the convolution's bias), so nothing is computed there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .config import FusionOrder, LayerConfig
from .placement import Band, Placement

EMPTY_GATE = 0.5  # sigmoid(0): an empty slot has no area


class CBAM(nn.Module):
    """Channel, then spatial attention over the features of instances (Woo et al. 2018), on the cells that they cover only."""

    def __init__(self, config: LayerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.channel = nn.Sequential(
            operations.Linear(config.width, config.gate_width, **factory),
            nn.ReLU(),
            operations.Linear(config.gate_width, config.width, **factory),
        )
        kernel = config.gate_kernel
        self.spatial = operations.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False, **factory)

    def forward(self, features: Tensor, band: Band, height: int, width: int) -> tuple[Tensor, Tensor]:
        """features (E, A, C), zero on padding -> those after the channel attention (E, A, C), and the spatial attention (E, A).

        The channel attention takes the mean and the maximum of the whole grid of height x width cells, which is zero where
        an instance is not. Their product is what CBAM gives; who reads it linearly can read the first and multiply later.
        """
        peak = features.amax(dim=1)
        peak = torch.where(band.whole[:, None], peak, peak.clamp(min=0))
        mean = features.sum(dim=1, dtype=torch.float32).div(height * width).to(features.dtype)
        channel = (self.channel(peak) + self.channel(mean)).sigmoid()
        features = features * channel[:, None]
        summary = torch.stack([features.amax(dim=2), features.mean(dim=2)], dim=1)  # E, 2, A
        cells = band.cells[:, None].expand_as(summary)
        grid = summary.new_zeros(*summary.shape[:2], height * width).scatter_add(2, cells, summary)  # padding adds zero
        spatial = self.spatial(grid.unflatten(2, (height, width))).sigmoid().flatten(1)
        return features, spatial.gather(1, band.cells)


class GatedSemanticFusion(nn.Module):
    """Scores every instance on every cell it covers and mixes the instances by a softmax over a number of slots."""

    def __init__(
        self, config: LayerConfig, slots: int, order: FusionOrder, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        self.slots = slots
        self.order = order
        self.cbam = CBAM(config, operations, device, dtype)
        self.importance = operations.Conv2d(config.width, 1, 1, device=device, dtype=dtype)

    def forward(self, features: Sequence[Tensor], placement: Placement, scale: Tensor | float, out: Tensor) -> None:
        """Mix the instances and add them to ``out``.

        features: of each band (E, A, C), zero on padding. scale: a factor for all of them. out (R, h*w, C), contiguous and in the
        dtype of the features: changed in place where an instance is.
        """
        weights = self.weights(features, placement) * (placement.strengths * scale)[:, None]  # I, h*w
        flat = out.view(-1, out.shape[-1])
        for part, band in zip(features, placement.bands, strict=True):
            share = weights[band.instances].gather(1, band.cells)
            mixed = (share.to(part.dtype)[..., None] * part).flatten(0, 1)
            for members in band.members:
                flat.index_add_(0, _pick(band.places, members), _pick(mixed, members))

    def weights(self, features: Sequence[Tensor], placement: Placement) -> Tensor:
        """Each instance's share of each cell of its row, float32 (I, h*w); only those of covered cells mean something.

        Slots without an instance and instances elsewhere take part in the softmax with the importance of a cell without
        features, which is the bias. More instances than slots: the slots grow to their number.
        """
        bias = self._empty_importance(features[0])
        before = self.order == "gate_before_softmax"
        logits = self._empty_logits(bias, placement, EMPTY_GATE if before else 1.0)
        if before:
            logits = logits.index_put((placement.row, placement.slot), (bias * placement.gates)[:, None].expand(-1, logits.shape[2]))
        for part, band in zip(features, placement.bands, strict=True):
            importance = self._importance(part, band, placement, bias)
            if before:
                importance = importance * placement.gates[band.instances][:, None]
            members = torch.cat(band.members)
            row, slot = (x[band.instances][:, None].expand_as(band.cells).flatten()[members] for x in (placement.row, placement.slot))
            logits = logits.index_put((row, slot, band.cells.flatten()[members]), importance.flatten()[members])
        weights = logits.softmax(dim=1)[placement.row, placement.slot]
        return weights if before else weights * placement.gates[:, None]

    def _empty_logits(self, bias: Tensor, placement: Placement, gate: float) -> Tensor:
        """Float32 (R, slots, h*w) of slots without instances. A row has more slots than others if it has more instances."""
        slots = [max(self.slots, count) for count in placement.counts]
        logits = (bias * gate).expand(placement.rows, max(slots), placement.height * placement.width)
        if min(slots) < max(slots):
            taken = torch.arange(max(slots)) < torch.tensor(slots)[:, None]
            logits = logits.masked_fill(~taken[..., None].to(logits.device), -math.inf)
        return logits

    def _importance(self, part: Tensor, band: Band, placement: Placement, bias: Tensor) -> Tensor:
        """Of CBAM's features, (E, A), float32."""
        gated, spatial = self.cbam(part, band, placement.height, placement.width)
        return (self.importance(gated.transpose(1, 2)[:, :, None])[:, 0, 0].float() - bias) * spatial.float() + bias

    def _empty_importance(self, like: Tensor) -> Tensor:
        """Importance of a cell without features, float32 (1): the bias, asked of the layer so that the host may place it."""
        return self.importance(like.new_zeros(1, like.shape[-1], 1, 1)).flatten().float()


def _pick(x: Tensor, members: Tensor) -> Tensor:
    """x[members], without a copy when they are all of x."""
    return x if len(members) == len(x) else x.index_select(0, members)
