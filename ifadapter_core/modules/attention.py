"""One adapted cross-attention layer (paper 3.3.2, eq. 4-8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..config import FusionOrder, LayerConfig
from ..packed import Band, PackedInstances
from .fusion import GatedSemanticFusion
from .norm import HeadRMSNorm, rms_normalize

# Multi-head attention: q (R, S, C), k and v (R, T, C), number of heads -> (R, S, C).
Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention to few keys, see ``Attend``. On a CPU faster than PyTorch's own.

    With few keys the scores are small compared with q, and a CPU is fastest with a softmax along
    columns.
    """
    width = q.shape[-1] // heads
    q = q.unflatten(-1, (heads, width)).permute(0, 2, 3, 1)  # R, heads, width, S
    k, v = (x.unflatten(-1, (heads, width)).transpose(1, 2) for x in (k / math.sqrt(width), v))
    weights = (k @ q).softmax(dim=2).transpose(2, 3)  # R, heads, S, T
    return (weights @ v).transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of N instances with M tokens each, in one layer.

    k: (..., N, M, C) keys, normalized.
    v: (..., N, M, C) values.
    """

    k: Tensor
    v: Tensor


class InstanceProjection(nn.Module):
    """Instance tokens -> normalized keys and values of one layer. Runs once per layout."""

    def __init__(
        self, config: LayerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.to_k_ap = operations.Linear(config.token_width, config.width, bias=False, **factory)
        self.to_v_ap = operations.Linear(config.token_width, config.width, bias=False, **factory)
        self.k_norm = HeadRMSNorm(config.head_dim, **factory)

    def forward(self, tokens: Tensor) -> KeysValues:
        """Tokens (..., N, M, token_width) -> keys and values (..., N, M, C)."""
        return KeysValues(self.k_norm(self.to_k_ap(tokens)), self.to_v_ap(tokens))


class InstanceCrossAttention(nn.Module):
    """The layer's queries attend to the tokens of each instance in its box; fusion mixes the results."""

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
        self.heads = config.heads
        self.q_norm = HeadRMSNorm(config.head_dim, device, dtype)
        self.fusion = GatedSemanticFusion(config, slots, order, operations, device, dtype)
        self.alpha = nn.Parameter(torch.zeros((), device=device, dtype=dtype))

    def forward(
        self,
        q: Tensor,
        instances: KeysValues,
        packed: PackedInstances,
        attend: Attend = attend,
        out: Tensor | None = None,
    ) -> Tensor:
        """Add the semantic map to the result of the text cross attention, before its output projection.

        q: (R, h*w, C) projected queries of the layer, not normalized.
        instances: keys and values (N, M, C) from ``IFAdapter.keys_values``, with device and dtype
            of q.
        packed: the instances of each batch row.
        attend: attention function.
        out: (R, h*w, C) contiguous, in the dtype of q; added to in place. Default: zeros.

        Returns out.
        """
        if out is None:
            out = q.new_zeros(q.shape)
        if packed.bands:
            # Normalize each covered cell's query once, however many instances cover it.
            queries = q.flatten(0, 1).index_select(0, packed.covered)
            queries = rms_normalize(queries.unflatten(-1, (self.heads, -1))).flatten(-2)
            features = (self._features(queries, instances, band, attend) for band in packed.bands)
            self.fusion(features, packed, self.alpha.to(q.device, torch.float32).tanh(), out)
        return out

    def _features(self, queries: Tensor, instances: KeysValues, band: Band, attend: Attend) -> Tensor:
        """Normalized queries of covered cells (U, C) -> features of a band (E, A, C), 0 on padding."""
        q = queries.index_select(0, band.queries).unflatten(0, band.valid.shape)
        features = attend(q, instances.k[band.sources], instances.v[band.sources], self.heads)
        return features * band.valid[..., None].to(features) if band.padded else features
