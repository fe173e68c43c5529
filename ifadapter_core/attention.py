"""One adapted cross-attention layer (paper 3.3.2, eq. 4-8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .config import FusionOrder, LayerConfig
from .fusion import GatedSemanticFusion
from .norm import HeadRMSNorm, rms_normalize
from .packing import Band, PackedInstances

Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]  # q (R, S, C), k and v (R, T, C), heads -> (R, S, C)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention to few keys, see ``Attend``: the scores are small beside q, and a CPU takes their softmax fastest by columns."""
    width = q.shape[-1] // heads
    q = q.unflatten(-1, (heads, width)).permute(0, 2, 3, 1)  # R, heads, width, S
    k, v = (x.unflatten(-1, (heads, width)).transpose(1, 2) for x in (k / math.sqrt(width), v))
    weights = (k @ q).softmax(dim=2).transpose(2, 3)
    return (weights @ v).transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of N instances of M tokens in one layer: each (..., N, M, C)."""

    k: Tensor
    v: Tensor


class InstanceProjection(nn.Module):
    """Instance tokens -> normalised keys, and values, of one layer. Needed once for each layout, not during sampling."""

    def __init__(
        self, config: LayerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.to_k_ap = operations.Linear(config.token_width, config.width, bias=False, **factory)
        self.to_v_ap = operations.Linear(config.token_width, config.width, bias=False, **factory)
        self.k_norm = HeadRMSNorm(config.head_dim, **factory)

    def forward(self, tokens: Tensor) -> KeysValues:
        """tokens (..., N, M, token_width) -> keys and values (..., N, M, C)."""
        return KeysValues(self.k_norm(self.to_k_ap(tokens)), self.to_v_ap(tokens))


class InstanceCrossAttention(nn.Module):
    """The layer's own queries attend to each instance's tokens inside its box; the results are fused to one map."""

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
        """Add to the output of the layer's text cross attention, before its output projection.

        q (R, h*w, C): the layer's projected queries, not normalised. instances: keys and values (N, M, C) by
        ``IFAdapter.keys_values``, on the device and in the dtype of q. packed: where they stand. out (R, h*w, C), contiguous
        and in the dtype of q: what to add to, changed in place; default: zeros. Returns out.
        """
        if out is None:
            out = q.new_zeros(q.shape)
        if packed.bands:
            cells = q.flatten(0, 1).index_select(0, packed.covered)
            cells = rms_normalize(cells.unflatten(-1, (self.heads, -1))).flatten(-2)
            features = (self._features(cells, instances, band, attend) for band in packed.bands)
            self.fusion(features, packed, self.alpha.to(q.device, torch.float32).tanh(), out)
        return out

    def _features(self, cells: Tensor, instances: KeysValues, band: Band, attend: Attend) -> Tensor:
        """Normalised queries of all covered cells (U, C) -> (E, A, C), zero on padding."""
        q = cells.index_select(0, band.queries).unflatten(0, band.inside.shape)
        features = attend(q, instances.k[band.sources], instances.v[band.sources], self.heads)
        return features * band.inside[..., None].to(features) if band.padded else features
