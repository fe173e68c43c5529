"""One adapted cross-attention layer (paper 3.3.2, eq. 4-8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FusionOrder, LayerConfig
from .fusion import GatedSemanticFusion
from .norm import HeadRMSNorm, rms_normalize
from .placement import Band, Placement

# q (R, S, C), k and v (R, T, C), heads, mask (1, 1, T) that is added to the scores, or None -> (R, S, C)
Attend = Callable[[Tensor, Tensor, Tensor, int, Tensor | None], Tensor]
VECTOR = 16  # keys; a softmax over a number that does not fill a CPU's vectors takes many times as long


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Multi-head attention, see ``Attend``; a host may pass its own in its place."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None]).transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class KeysValues:
    """Keys (normalised) and values of N instances of M tokens in one layer: each (..., N, M, C)."""

    k: Tensor
    v: Tensor


def fill_vectors(instances: KeysValues) -> tuple[KeysValues, Tensor | None]:
    """On a CPU: tokens added to (N, M, C) up to a multiple of VECTOR, and the mask (1, 1, M) that hides them."""
    tokens = instances.k.shape[-2]
    missing = -tokens % VECTOR
    if instances.k.device.type != "cpu" or not missing:
        return instances, None
    mask = instances.k.new_zeros(1, 1, tokens + missing)
    mask[..., tokens:] = -math.inf
    return KeysValues(*(F.pad(x, (0, 0, 0, missing)) for x in (instances.k, instances.v))), mask


class InstanceProjection(nn.Module):
    """Instance tokens -> keys and values of one layer. Needed once for each layout, not during sampling."""

    def __init__(self, config: LayerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None) -> None:
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
        self, config: LayerConfig, slots: int, order: FusionOrder, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        self.heads = config.heads
        self.q_norm = HeadRMSNorm(config.head_dim, device, dtype)
        self.fusion = GatedSemanticFusion(config, slots, order, operations, device, dtype)
        self.alpha = nn.Parameter(torch.zeros((), device=device, dtype=dtype))

    def forward(self, q: Tensor, instances: KeysValues, placement: Placement, attend: Attend = attend, out: Tensor | None = None) -> Tensor:
        """Add to the output of the layer's text cross attention, before its output projection.

        q (R, h*w, C): the layer's projected queries, not normalised. instances: keys and values (I, M, C) of all instances
        of all rows, in the device and dtype of q. placement: where they stand. out (R, h*w, C), contiguous and
        in the dtype of q: what to add to, changed in place; default: zeros. Returns out.
        """
        if out is None:
            out = q.new_zeros(q.shape)
        if placement.bands:
            # q * weight @ k is q @ k * weight, and there are far fewer keys than queries
            instances, mask = fill_vectors(KeysValues(self.q_norm.scale(instances.k), instances.v))
            features = [self._features(q, instances, band, attend, mask) for band in placement.bands]
            self.fusion(features, placement, self.alpha.to(q.device, torch.float32).tanh(), out)
        return out

    def _features(self, q: Tensor, instances: KeysValues, band: Band, attend: Attend, mask: Tensor | None) -> Tensor:
        """q (R, h*w, C) -> (E, A, C), zero on padding."""
        cells = q.flatten(0, 1).index_select(0, band.places).unflatten(0, band.cells.shape)
        cells = rms_normalize(cells.unflatten(-1, (self.heads, -1))).flatten(-2)
        features = attend(cells, instances.k[band.instances], instances.v[band.instances], self.heads, mask)
        return features * band.inside[..., None].to(features) if band.padded else features
