"""Attention to few keys: results and gradients equal PyTorch's fused attention."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ifadapter_core.modules.attention import attend

HEADS = 3


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(2, length, 4 * HEADS, generator=generator, dtype=torch.float64) for length in (7, 5, 5)
    )
    return q.to(dtype).requires_grad_(), k.to(dtype).requires_grad_(), v.to(dtype).requires_grad_()


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.double().reshape(2, -1, HEADS, 4).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, -1, 4 * HEADS)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.float16, 4e-3), (torch.bfloat16, 3e-2)],
)
def test_result_matches_fused_attention(dtype: torch.dtype, tolerance: float) -> None:
    given = inputs(dtype)
    out = attend(*given, HEADS)
    assert out.dtype == dtype
    assert torch.allclose(out.double(), fused(*given), rtol=0, atol=tolerance)


def test_gradients_match_fused_attention() -> None:
    given = inputs(torch.float64)
    own, other = (
        torch.autograd.grad(out.square().sum(), given) for out in (attend(*given, HEADS), fused(*given))
    )
    assert all(torch.allclose(a, b) for a, b in zip(own, other, strict=True))
