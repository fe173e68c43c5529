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
from .geometry import Geometry


class CBAM(nn.Module):
    """Channel, then spatial attention over one instance's features (Woo et al. 2018), on the cells of its box only."""

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

    def forward(self, features: Tensor, grid_cells: int, whole_grid: bool) -> Tensor:
        """features (R, C, box height, box width), zero on uncovered cells -> the same shape.

        grid_cells: cells of the whole grid, whose mean and maximum the channel attention takes; the grid is zero
        outside the box. whole_grid: the box is the grid, so there is no such zero.
        """
        peak = features.amax(dim=(2, 3))
        if not whole_grid:
            peak = peak.clamp(min=0)
        mean = features.sum(dim=(2, 3), dtype=torch.float32).div(grid_cells).to(features.dtype)
        channel = (self.channel(peak) + self.channel(mean)).sigmoid()
        features = features * channel[:, :, None, None]
        spatial = torch.cat([features.amax(dim=1, keepdim=True), features.mean(dim=1, keepdim=True)], dim=1)
        return features * self.spatial(spatial).sigmoid()  # outside the box both maps are zero, as the padding is


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

    def forward(self, features: Sequence[Tensor], geometry: Geometry, strengths: Sequence[float]) -> Tensor:
        """Mix the instances.

        features: for each instance (R, C, box height, box width), zero on uncovered cells.
        Returns the instance semantic map (R, C, height, width), zero where no instance is.
        """
        first = features[0]
        out = first.new_zeros(*first.shape[:2], geometry.height, geometry.width)
        weights = self.weights(features, geometry)
        for index, (part, coverage) in enumerate(zip(features, geometry.coverages, strict=True)):
            rows, columns = coverage.cells.rows, coverage.cells.columns
            weight = weights[:, index, None, rows, columns] * strengths[index]
            out[:, :, rows, columns] += weight.to(part.dtype) * part
        return out

    def weights(self, features: Sequence[Tensor], geometry: Geometry) -> Tensor:
        """Each instance's share of each cell, float32 (R, N, height, width); only those of covered cells mean something.

        Slots without an instance and instances elsewhere take part in the softmax with the importance of a cell without
        features, which is the bias. More instances than slots: the slots grow to their number.
        """
        gates = torch.tensor(geometry.area_gates, device=features[0].device)
        bias = self._empty_importance(features[0])
        logits = bias.expand(features[0].shape[0], len(features), geometry.height, geometry.width).clone()
        for index, (part, coverage) in enumerate(zip(features, geometry.coverages, strict=True)):
            logits[:, index, coverage.cells.rows, coverage.cells.columns] = self._importance(part, geometry)
        empty_gate = 0.5  # sigmoid(0): an empty slot has no area
        empty = bias.reshape(1)
        if self.order == "gate_before_softmax":
            logits = logits * gates[:, None, None]
            empty = empty * empty_gate
        total = logits.logsumexp(dim=1, keepdim=True)
        free_slots = self.slots - len(features)
        if free_slots > 0:
            total = torch.logaddexp(total, empty + math.log(free_slots))
        weights = (logits - total).exp()
        return weights if self.order == "gate_before_softmax" else weights * gates[:, None, None]

    def _importance(self, part: Tensor, geometry: Geometry) -> Tensor:
        """(R, box height, box width), float32."""
        whole_grid = part.shape[2:] == (geometry.height, geometry.width)
        return self.importance(self.cbam(part, geometry.height * geometry.width, whole_grid))[:, 0].float()

    def _empty_importance(self, like: Tensor) -> Tensor:
        """Importance of a cell without features, float32: the bias, asked of the layer so that the host may place it."""
        return self.importance(like.new_zeros(1, like.shape[1], 1, 1)).float()
