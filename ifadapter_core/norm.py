"""Per-head RMS normalisation, shared by the resampler and the adapted layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-6


def rms_normalize(x: Tensor) -> Tensor:
    """x / rms(x) over the last axis, computed in float32, in the dtype of x."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + EPSILON)).to(x.dtype)


class HeadRMSNorm(nn.Module):
    """RMS norm of each head by itself; the weight is stored as an offset from 1, as the release does.

    Arguments: head_dim, the width of one head.
    """

    def __init__(self, head_dim: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(head_dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., heads * head_dim), any float dtype -> the same shape and dtype."""
        heads = x.unflatten(-1, (-1, self.weight.shape[0])).float()
        scaled = rms_normalize(heads) * (1.0 + self.weight.to(device=x.device, dtype=torch.float32))
        return scaled.flatten(-2).to(x.dtype)
