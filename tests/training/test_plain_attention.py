"""Plain attention is attention: the same numbers and gradients as torch's fused one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.plain_attention import trained_attention

HEADS = 3


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, length, 4 * HEADS, generator=generator, dtype=torch.float64) for length in (7, 5, 5))
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    q, k, v = (x.reshape(2, -1, HEADS, 4).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(2, -1, 4 * HEADS)


@pytest.mark.parametrize("wanted", [True, False], ids=["with gradients", "without"])
def test_it_gives_what_fused_attention_gives(wanted: bool) -> None:
    given, mask = inputs(), torch.tensor([0.0, 0.0, -2.0, 0.0, -torch.inf], dtype=torch.float64)
    with torch.set_grad_enabled(wanted):
        assert torch.allclose(trained_attention(*given, HEADS), fused(*given))
        assert torch.allclose(trained_attention(*given, HEADS, mask[None, None]), fused(*given, mask[None, None, None]))


def test_its_gradients_are_those_of_fused_attention() -> None:
    given = inputs()
    own, other = (torch.autograd.grad(out.square().sum(), given) for out in (trained_attention(*given, HEADS), fused(*given)))
    assert all(torch.allclose(a, b) for a, b in zip(own, other, strict=True))
