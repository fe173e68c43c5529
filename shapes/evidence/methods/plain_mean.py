"""The adapter without its learned gate: in overlaps, the plain mean of the instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.layout import Layout
from ifadapter_diffusers.adapted_unet import AdaptedUNet, BatchInstances, grid_of
from ifadapter_diffusers.painter import Method, Painter
from ifadapter_diffusers.sampling import sample_layouts

from ...models.slots import Slots, dense_residual, grid_of_slots


class PlainMeanUNet(AdaptedUNet):
    """The instances that cover a cell share equally what the gate gives them together.

    So the result differs from that of the learned gate where boxes overlap only.
    """

    def __init__(self, unet: UNet2DConditionModel, adapter: IFAdapter) -> None:
        super().__init__(unet, adapter)
        self._slots: tuple[BatchInstances, int, Slots] | None = None  # of the last pass

    def residual(self, key: str, q: Tensor) -> Tensor:
        if not self.instances.row.numel():
            return torch.zeros_like(q)
        if self._slots is None or self._slots[0] is not self.instances or self._slots[1] != len(q):
            least = self.adapter.config.settings.slots
            self._slots = (self.instances, len(q), in_slots(self.instances, len(q), least, q.device))
        slots = self._slots[2]
        grid = grid_of_slots(slots.boxes, slots.present, *grid_of(q.shape[1], *self.latent_size))
        return dense_residual(self.adapter, key, q, slots.tokens, grid, evenly=True)


def in_slots(instances: BatchInstances, rows: int, least: int, device: torch.device) -> Slots:
    """Instances side by side -> slots of batch rows, at least ``least`` of them.

    Raises ValueError for strengths other than 1, which slots do not have.
    """
    if not bool((instances.strengths == 1).all()):
        raise ValueError("The plain mean has no strengths; expected 1 for all instances.")
    owners = instances.row.tolist()
    numbers = [owners[:index].count(row) for index, row in enumerate(owners)]
    count = max(least, max(numbers) + 1)
    tokens = instances.tokens.new_zeros(rows, count, *instances.tokens.shape[1:])
    boxes, present = torch.zeros(rows, count, 4), torch.zeros(rows, count, dtype=torch.bool)
    tokens[instances.row, numbers] = instances.tokens
    boxes[instances.row, numbers] = instances.boxes
    present[instances.row, numbers] = True
    return Slots(tokens.to(device), boxes.to(device), present.to(device))


def paint_plain_mean(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    adapted: Any = PlainMeanUNet(painter.base.unet, painter.adapter)
    return sample_layouts(
        adapted, painter.base, layouts, noise, painter.steps, painter.guidance, control=painter.control
    )


PLAIN_MEAN = Method("mean", "IFAdapter, plain mean", paint_plain_mean)
