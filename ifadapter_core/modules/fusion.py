"""Weights of the gated semantic fusion (paper 3.3.2, eq. 5-8). ``attention.py`` computes with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..config import FusionOrder, LayerConfig


class CBAM(nn.Module):
    """Weights of channel attention, then spatial attention (Woo et al. 2018)."""

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


class GatedSemanticFusion(nn.Module):
    """Weights that score each instance on its cells; a softmax over slots then mixes the instances.

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
        # A 1x1 convolution, applied as a linear layer.
        self.importance = nn.Conv2d(config.width, 1, 1, device=device, dtype=dtype)
