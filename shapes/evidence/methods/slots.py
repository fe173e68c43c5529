"""The instances of a sampling batch in slots, as in training."""

from __future__ import annotations

import torch

from ifadapter_diffusers.adapted_unet import BatchInstances

from ...models.slots import Slots


def in_slots(instances: BatchInstances, rows: int, least: int, device: torch.device) -> Slots:
    """Instances side by side -> slots of batch rows, at least ``least`` of them.

    Raises ValueError for strengths other than 1, which slots do not have.
    """
    if not bool((instances.strengths == 1).all()):
        raise ValueError("This method has no strengths; expected 1 for all instances.")
    owners = instances.row.tolist()
    numbers = [owners[:index].count(row) for index, row in enumerate(owners)]
    count = max(least, max(numbers) + 1)
    tokens = instances.tokens.new_zeros(rows, count, *instances.tokens.shape[1:])
    boxes, present = torch.zeros(rows, count, 4), torch.zeros(rows, count, dtype=torch.bool)
    tokens[instances.row, numbers] = instances.tokens
    boxes[instances.row, numbers] = instances.boxes
    present[instances.row, numbers] = True
    return Slots(tokens.to(device), boxes.to(device), present.to(device))


class KeptSlots:
    """``in_slots`` of the last instances, which serve all steps of a sampling run."""

    def __init__(self) -> None:
        self._last: tuple[BatchInstances, int, Slots] | None = None

    def of(self, instances: BatchInstances, rows: int, least: int, device: torch.device) -> Slots:
        """See ``in_slots``."""
        if self._last is None or self._last[0] is not instances or self._last[1] != rows:
            self._last = (instances, rows, in_slots(instances, rows, least, device))
        return self._last[2]
