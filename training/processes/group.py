"""Several processes that train together: what they decide, measure and draw in common."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor


class Processes:
    """The processes of a training. All of them must call its methods, in the same order.

    accelerator: None = one process.
    """

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self._accelerator = accelerator
        self.index: int = accelerator.process_index if accelerator else 0
        self.count: int = accelerator.num_processes if accelerator else 1
        self.is_main = self.index == 0

    def any(self, *here: bool) -> list[bool]:
        """Whether each condition holds in any process. One process alone does not wait for its GPU."""
        if self.count == 1:
            return list(here)
        return [value > 0 for value in self.total(torch.tensor(here, dtype=torch.float32)).tolist()]

    def any_on_device(self, here: Tensor) -> Tensor:
        """As ``any``, for a condition () bool on the device, which is not waited for."""
        if self._accelerator is None or self.count == 1:
            return here
        return self._accelerator.reduce(here.float(), "sum") > 0

    def total(self, sums: Tensor) -> Tensor:
        """The sums over all processes, on the CPU."""
        if self._accelerator is None or self.count == 1:
            return sums.cpu()
        return self._accelerator.reduce(sums.to(self._accelerator.device), "sum").cpu()

    def numbers(self, values: list[float]) -> list[float]:
        """The numbers of all processes, in the first one; empty in the others."""
        if self.count == 1:
            return values
        gathered = gather_object(values)
        return gathered if self.is_main else []

    def share(self, count: int) -> list[int]:
        """The part of ``count`` numbered things that this process does: every n-th.

        All processes get equally many, because sharded weights are gathered by all of them together:
        the last number fills up.
        """
        rounds = -(-count // self.count)
        return [min(self.index + turn * self.count, count - 1) for turn in range(rounds)]

    def join(self, part: Tensor, count: int) -> Tensor:
        """The results (count, ...) of all, from those of each process's share, in every process."""
        if self._accelerator is None or self.count == 1:
            return part
        gathered = self._accelerator.gather(part.contiguous())
        rounds = len(part)
        return gathered[[number % self.count * rounds + number // self.count for number in range(count)]]

    def wait(self) -> None:
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()


ALONE = Processes()
