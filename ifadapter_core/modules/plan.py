"""What is constant for one layer while its instances stay: all tensors that its forward reads.

Letters in shapes: E, A, U, D and V as in ``packed.py``; C channels, H hidden channels of the channel
attention, M tokens of an instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..config import FusionOrder
from ..packed import ABSENT, Band, PackedInstances
from .fusion import GatedSemanticFusion

EMPTY_SLOT_GATE = 0.5  # sigmoid(0): an empty slot has no area


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer, in the dtype of its queries unless noted.

    heads: attention heads.
    slots: slots of the softmax; a row with more instances has one for each.
    order: apply the area gate before or after the softmax.
    squeeze, squeeze_bias: (H, C) and (H,), first layer of the channel attention.
    excite: (C, 2 * H) its second layer, twice side by side: sums the results of max and mean.
    excite_bias: (C,) twice its bias.
    kernel: (1, 2, K, K) of the spatial attention.
    score: (C,) float32 or wider, importance per channel.
    bias: (1,) float32 or wider, importance of a cell without features.
    scale: () float32 or wider, factor on the result: tanh(alpha).
    """

    heads: int
    slots: int
    order: FusionOrder
    squeeze: Tensor
    squeeze_bias: Tensor
    excite: Tensor
    excite_bias: Tensor
    kernel: Tensor
    score: Tensor
    bias: Tensor
    scale: Tensor

    @property
    def gate_first(self) -> bool:
        return self.order == "gate_before_softmax"


@dataclass(frozen=True, eq=False)
class BandPlan:
    """E instances of A entries each, in the dtype of the queries.

    k, v: (E, M, C) keys, normalized, and values.
    mean: (E, 1, A) 1 / (h*w) on the cells, 0 on padding.
    peak_floor: (E, 1) see ``Band``.
    scores: (E, 2, C) importance per channel, times the area gate if it comes first; and 1 / C.
    """

    k: Tensor
    v: Tensor
    mean: Tensor
    peak_floor: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class FlatPlan:
    """A layer's plan without bands, for the J instances of ``PackedInstances.tiles``.

    k, v: (J, M, C) keys, normalized, and values.
    score_gates: (J,) float32 factor on the importance: the area gate if it comes first.
    factors: (U, D + 1) float32 factors on the softmax weights of the instances on each cell; the last
        one is unused.
    """

    k: Tensor
    v: Tensor
    score_gates: Tensor
    factors: Tensor


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer with the instances of a batch: made once, then serves every call with these instances.

    packed: the instances.
    weights: of the layer.
    bands: one for each band of the instances.
    logits: (U, D + 1) float32 or wider: logit of the instances on each cell without their features,
        ABSENT where there is none; last the joint logit of everything that does not cover the cell.
    factors: (V,) float32 or wider factor on the softmax weight of each entry, ordered as
        ``PackedInstances.weights``.
    zero: (1,) in the dtype of the queries.
    normalize_first: whether the queries are normalized before they are gathered for the instances: always
        in chunks, else where there are more entries than cells.
    """

    packed: PackedInstances
    weights: LayerWeights
    bands: tuple[BandPlan, ...]
    logits: Tensor
    factors: Tensor
    zero: Tensor
    normalize_first: bool

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What GPU kernels keep for this plan between its calls."""
        return {}

    @cached_property
    def flat(self) -> FlatPlan:
        """The same for GPU kernels."""
        bands = self.packed.bands
        gates = torch.cat([band.gates for band in bands])
        factors = torch.zeros_like(self.logits).flatten()
        return FlatPlan(
            k=torch.cat([band.k for band in self.bands]),
            v=torch.cat([band.v for band in self.bands]),
            score_gates=gates if self.weights.gate_first else torch.ones_like(gates),
            factors=factors.scatter(0, self.packed.weights, self.factors).view_as(self.logits),
        )


def cast_weights(
    fusion: GatedSemanticFusion, alpha: Tensor, heads: int, device: torch.device, dtype: torch.dtype
) -> LayerWeights:
    """The weights of a layer for queries of this dtype on this device. Keeps gradients."""
    wide = torch.promote_types(dtype, torch.float32)
    squeeze: Any = fusion.cbam.channel[0]
    excite: Any = fusion.cbam.channel[2]
    bias = fusion.importance.get_parameter("bias")
    return LayerWeights(
        heads=heads,
        slots=fusion.slots,
        order=fusion.order,
        squeeze=squeeze.weight.to(device, dtype),
        squeeze_bias=squeeze.bias.to(device, dtype),
        excite=excite.weight.to(device, dtype).repeat(1, 2),
        excite_bias=(2 * excite.bias).to(device, dtype),
        kernel=fusion.cbam.spatial.weight.to(device, dtype),
        score=fusion.importance.weight.flatten().to(device, wide),
        bias=bias.to(device, wide),
        scale=alpha.to(device, wide).tanh(),
    )


def make_plan(weights: LayerWeights, k: Tensor, v: Tensor, packed: PackedInstances) -> LayerPlan:
    """A layer's plan for packed instances.

    k, v: (N, M, C) keys, normalized, and values, on any device and in any dtype. Gradients are kept.
    """
    target = weights.squeeze
    k, v = k.to(target), v.to(target)
    gates = packed.weight_gates
    entries = sum(len(band.queries) for band in packed.bands)
    return LayerPlan(
        packed=packed,
        weights=weights,
        bands=tuple(_plan_band(weights, k, v, packed, band) for band in packed.bands),
        logits=_constant_logits(weights, packed),
        factors=packed.strengths * weights.scale * (1.0 if weights.gate_first else gates),
        zero=target.new_zeros(1),
        normalize_first=packed.in_chunks or entries > packed.rows * packed.height * packed.width,
    )


def _plan_band(weights: LayerWeights, k: Tensor, v: Tensor, packed: PackedInstances, band: Band) -> BandPlan:
    gates = band.gates if weights.gate_first else torch.ones_like(band.gates)
    score = weights.score * gates[:, None]
    mean_of_channels = torch.full_like(score, 1 / score.shape[1])
    return BandPlan(
        k=k.index_select(0, band.sources),
        v=v.index_select(0, band.sources),
        mean=band.is_cell[:, None].to(k).div(packed.height * packed.width),
        peak_floor=band.peak_floor.to(k.dtype),
        scores=torch.stack([score, mean_of_channels], dim=1).to(k.dtype),
    )


def _constant_logits(weights: LayerWeights, packed: PackedInstances) -> Tensor:
    """``LayerPlan.logits``.

    As in the release, empty slots and instances that do not cover the cell take part in the softmax,
    with the bias as their importance. Their logits are constant, so one joint logit stands for them.
    """
    bias, gate_first = weights.bias, weights.gate_first
    covering = packed.cell_logits + bias * (packed.cell_gates if gate_first else 1.0)
    outside = packed.outside_logits + bias * (packed.outside_gates if gate_first else 1.0)
    empty = (weights.slots - packed.in_row).clamp(min=0).to(bias.dtype).log().clamp(min=ABSENT)
    empty = empty + bias * (EMPTY_SLOT_GATE if gate_first else 1.0)
    rest = torch.cat([outside, empty], dim=1).logsumexp(dim=1, keepdim=True)
    return torch.cat([covering, rest], dim=1)
