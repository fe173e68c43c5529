"""Boxes -> grounding embeddings: Fourier features and an MLP (paper 3.3.1, eq. 3; after GLIGEN)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..config import PositionConfig

FREQUENCY_BASE = 100.0  # frequency i of n is FREQUENCY_BASE ** (i / n)


def fourier_features(boxes: Tensor, frequencies: int) -> Tensor:
    """Boxes (..., 4), x0 y0 x1 y1 in 0..1 -> float32 (..., 8 * frequencies).

    Frequency-major: for each frequency the sines of the four coordinates, then their cosines.
    """
    scales = FREQUENCY_BASE ** (
        torch.arange(frequencies, device=boxes.device, dtype=torch.float32) / frequencies
    )
    angles = boxes.float().unsqueeze(-2) * scales[:, None]  # ..., frequencies, 4
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class PositionNet(nn.Module):
    """MLP over the Fourier features of a box."""

    def __init__(
        self,
        config: PositionConfig,
        operations: Any = nn,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.frequencies = config.frequencies
        self.mlp = nn.Sequential(
            operations.Linear(8 * config.frequencies, config.hidden_width, **factory),
            nn.SiLU(),
            operations.Linear(config.hidden_width, config.hidden_width, **factory),
            nn.SiLU(),
            operations.Linear(config.hidden_width, config.token_width, **factory),
        )

    def forward(self, boxes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Boxes (N, 4) float32, x0 y0 x1 y1 in 0..1 -> (N, 1, token_width) in ``dtype``."""
        return self.mlp(fourier_features(boxes, self.frequencies).to(dtype)).unsqueeze(1)
