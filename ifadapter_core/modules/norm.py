"""Per-head RMS norm, used by the resampler and the adapted layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6


def rms_normalize(x: Tensor) -> Tensor:
    """x / rms(x) over the last axis. Computed in float32 or wider, returned in the dtype of x."""
    if x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:], eps=EPSILON).to(x.dtype)  # one kernel on a GPU
    wide = torch.promote_types(x.dtype, torch.float32)
    mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide).square() / x.shape[-1]
    return (x * torch.rsqrt(mean_square + EPSILON)).to(x.dtype)


def normalize_heads(x: Tensor, heads: int) -> Tensor:
    """RMS norm of each head of x (..., C), without a weight."""
    return rms_normalize(x.unflatten(-1, (heads, -1))).flatten(-2)


class HeadRMSNorm(nn.Module):
    """RMS norm of each head separately. Weights are stored as offsets from 1, as in the release.

    head_dim: channels per head.
    """

    def __init__(
        self, head_dim: int, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(head_dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., heads * head_dim), any float dtype -> same shape and dtype."""
        return self.scale(rms_normalize(self._split_heads(x).float()).flatten(-2)).to(x.dtype)

    def scale(self, x: Tensor) -> Tensor:
        """Multiply x (..., heads * head_dim) by the weight, without normalizing."""
        weight = 1.0 + self.weight.to(device=x.device, dtype=torch.float32)
        return (self._split_heads(x) * weight).flatten(-2).to(x.dtype)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.weight.shape[0]))
