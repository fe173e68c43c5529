"""One adapted cross-attention layer (paper 3.3.2, eq. 4-8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import FusionOrder, LayerConfig
from ..packed import Band, PackedInstances
from .fusion import GatedSemanticFusion
from .kernels.choice import TRITON
from .norm import HeadRMSNorm, normalize_heads
from .plan import BandPlan, LayerPlan, LayerWeights, cast_weights, make_plan

# Devices with mixed dtypes in one operator and with embedding bags.
MIXED_DEVICES = ("cpu", "cuda", "meta")

# Multi-head attention: q (R, S, C), k and v (R, T, C), number of heads -> (R, S, C).
Attend = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention to few keys, see ``Attend``. On a CPU faster than PyTorch's own.

    With few keys the scores are small compared with q, and a CPU is fastest with contiguous heads and
    a softmax along columns.
    """
    q, k, v = (
        x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k / math.sqrt(k.shape[-1] / heads), v)
    )
    weights = (k @ q.contiguous().transpose(2, 3)).softmax(dim=2).transpose(2, 3)  # R, heads, S, T
    return (weights @ v).transpose(1, 2).flatten(2)


@dataclass(frozen=True, eq=False)
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
    """The layer's queries attend to the tokens of each instance in its box; fusion mixes the results.

    Sampling makes a plan once (``weights`` and ``plan.make_plan``) and calls ``add_semantic_map``.
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
        self.heads = config.heads
        self.q_norm = HeadRMSNorm(config.head_dim, device, dtype)
        self.fusion = GatedSemanticFusion(config, slots, order, operations, device, dtype)
        self.alpha = nn.Parameter(torch.zeros((), device=device, dtype=dtype))

    def weights(self, device: torch.device, dtype: torch.dtype) -> LayerWeights:
        """The weights for queries of this dtype on this device. Needed once per run."""
        return cast_weights(self.fusion, self.alpha, self.heads, device, dtype)

    def forward(
        self,
        q: Tensor,
        instances: KeysValues,
        packed: PackedInstances,
        attend: Attend = attend,
        out: Tensor | None = None,
    ) -> Tensor:
        """Plan and compute in one call; see ``add_semantic_map``.

        instances: keys and values (N, M, C) from ``IFAdapter.keys_values``.
        packed: the instances of each batch row.
        """
        plan = make_plan(self.weights(q.device, q.dtype), instances.k, instances.v, packed)
        return add_semantic_map(q, plan, attend, out)


def add_semantic_map(
    q: Tensor, plan: LayerPlan, attend: Attend = attend, out: Tensor | None = None
) -> Tensor:
    """Add a layer's semantic map to the result of the text cross attention, before its output projection.

    q: (R, h*w, C) projected queries of the layer, not normalized.
    plan: the layer and its instances, for the device and dtype of q.
    attend: attention function.
    out: (R, h*w, C) contiguous, in the dtype of q; added to in place, on covered cells only.
        Default: zeros.

    Features exist on covered cells only. Elsewhere the release's dense computation has constant
    results (zero features, an importance equal to the convolution's bias).

    Returns out.
    """
    out = q.new_zeros(q.shape) if out is None else out
    packed, weights = plan.packed, plan.weights
    if not packed.bands or TRITON.add_semantic_map(q, plan, out):
        return out

    # Features of each instance on its cells, and their statistics. On a CPU, bands fit into the caches.
    queries = q.flatten(0, 1)
    if packed.in_chunks:
        queries = queries.index_select(0, packed.cells)
    if plan.normalize_first:
        queries = normalize_heads(queries, weights.heads)
    features, peaks, sums = [], [], []
    for band, part in zip(packed.bands, plan.bands, strict=True):
        x = queries.index_select(0, band.queries)
        x = x if plan.normalize_first else normalize_heads(x, weights.heads)
        x = attend(x.unflatten(0, band.is_cell.shape), part.k, part.v, weights.heads)  # E, A, C
        gated = x * channel_attention(x, part, weights)
        features.append(x.flatten(0, 1))
        peaks.append(gated.amax(dim=2).flatten())
        sums.append(torch.bmm(part.scores, gated.transpose(1, 2)).flatten())

    # Importance of each instance on its cells: a linear layer, so the spatial attention scales its output.
    statistics = torch.cat([*peaks, *sums, plan.zero])
    grid = statistics.index_select(0, packed.grid).view(-1, 2, packed.height, packed.width)
    spatial = F.conv2d(grid, weights.kernel, padding=weights.kernel.shape[-1] // 2).flatten()
    spatial = spatial.index_select(0, packed.spatial).sigmoid().view_as(plan.logits)
    scores = statistics.index_select(0, packed.scores).view_as(plan.logits)
    if out.device.type not in MIXED_DEVICES:
        spatial, scores = spatial.to(plan.logits.dtype), scores.to(plan.logits.dtype)
    logits = torch.addcmul(plan.logits, spatial, scores)

    # Mix the instances of each cell.
    shares = logits.softmax(dim=1).flatten().index_select(0, packed.weights) * plan.factors
    shares = shares.to(out.dtype).split([len(band.entries) for band in packed.bands])
    for band, x, share in zip(packed.bands, features, shares, strict=True):
        add = sum_by_cell if out.device.type in MIXED_DEVICES else sum_by_cell_without_bags
        out.view(-1, out.shape[-1]).index_add_(0, band.cells, add(x, band, share))
    return out


def sum_by_cell(features: Tensor, band: Band, shares: Tensor) -> Tensor:
    """Features of a band (E * A, C) times the shares (V,), summed over the instances of each cell: (U, C)."""
    dtype = features.dtype
    if shares.requires_grad and dtype == torch.bfloat16:  # CUDA has no gradient of such weights
        features, shares = features.float(), shares.float()
    total = F.embedding_bag(band.entries, features, band.offsets, mode="sum", per_sample_weights=shares)
    return total.to(dtype)


def sum_by_cell_without_bags(features: Tensor, band: Band, shares: Tensor) -> Tensor:
    """``sum_by_cell`` by common operators. PyTorch before 2.10 has no embedding bag for Apple's GPUs."""
    total = shares.new_zeros(len(band.offsets), features.shape[1])
    last = len(band.entries) - 1
    ends = torch.cat([band.offsets[1:], band.offsets.new_full((1,), last + 1)])
    for level in range(band.depth):
        entry = band.offsets + level
        share = torch.where(entry < ends, shares[entry.clamp(max=last)], 0)
        total = total + share[:, None] * features[band.entries[entry.clamp(max=last)]]
    return total


def channel_attention(features: Tensor, band: BandPlan, weights: LayerWeights) -> Tensor:
    """Features of a band (E, A, C) -> gates (E, 1, C) in 0..1.

    Max and mean run over the whole grid, with zeros outside the instance.
    """
    peak = torch.maximum(features.amax(dim=1), band.peak_floor)
    mean = torch.bmm(band.mean, features)[:, 0]
    hidden = F.linear(torch.stack([peak, mean], dim=1), weights.squeeze, weights.squeeze_bias).relu()
    return F.linear(hidden.flatten(1), weights.excite, weights.excite_bias).sigmoid()[:, None]
