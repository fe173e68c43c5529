"""The adapter without its learned gate: in overlaps, the plain mean of the instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.layout import Layout
from ifadapter_diffusers.adapted_unet import AdaptedUNet, grid_of
from ifadapter_diffusers.painter import Method, Painter
from ifadapter_diffusers.sampling import sample_layouts

from ...models.slots import dense_residual, grid_of_slots
from .slots import KeptSlots


class PlainMeanUNet(AdaptedUNet):
    """The instances that cover a cell share equally what the gate gives them together.

    So the result differs from that of the learned gate where boxes overlap only.
    """

    def __init__(self, unet: UNet2DConditionModel, adapter: IFAdapter) -> None:
        super().__init__(unet, adapter)
        self.kept = KeptSlots()

    def residual(self, key: str, q: Tensor) -> Tensor:
        if not self.instances.row.numel():
            return torch.zeros_like(q)
        slots = self.kept.of(self.instances, len(q), self.adapter.config.settings.slots, q.device)
        grid = grid_of_slots(slots.boxes, slots.present, *grid_of(q.shape[1], *self.latent_size))
        return dense_residual(self.adapter, key, q, slots.tokens, grid, evenly=True)


def paint_plain_mean(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    adapted: Any = PlainMeanUNet(painter.base.unet, painter.adapter)
    return sample_layouts(
        adapted, painter.base, layouts, noise, painter.steps, painter.guidance, control=painter.control
    )


PLAIN_MEAN = Method("mean", "IFAdapter, plain mean", paint_plain_mean)
