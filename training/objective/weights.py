"""Weights of the loss: of the cells in boxes, and of the noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.training_utils import compute_snr
from torch import Tensor

from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Layout


def box_weights(layouts: Sequence[Layout], height: int, width: int, inside: float) -> Tensor:
    """``inside`` on the latent cells of all boxes and 1 elsewhere: (B, height, width)."""
    weights = torch.ones(len(layouts), height, width)
    for number, layout in enumerate(layouts):
        for box in layout.boxes:
            cells = cell_range(box, height, width)
            weights[number, cells.rows, cells.columns] = inside
    return weights


def snr_weights(scheduler: Any, timesteps: Tensor, gamma: float | None) -> Tensor:
    """Min-SNR weights of the loss (Hang et al. 2023, section 3.4) at timesteps (R,): float32 (R,).

    gamma: bound of the signal-to-noise ratio, 5 in their paper; None = all weights are 1.
    """
    if gamma is None:
        return torch.ones(timesteps.shape, device=timesteps.device)
    snr = compute_snr(scheduler, timesteps)
    if scheduler.config["prediction_type"] == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    return (gamma / snr).clamp(max=1.0)  # min(snr, gamma) / snr, also without any signal
