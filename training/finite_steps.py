"""Optimizer steps whose loss or gradient is not finite: skipped and counted."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from .processes.group import Processes
from .processes.weights import WholeWeights
from .run_state import Progress


class FiniteSteps:
    """Takes the optimizer's steps, except those with a loss or gradient that is not finite.

    A fused optimizer skips on its device, so a GPU is not waited for; ``check`` reads the counts.
    All processes skip the same steps.

    weights: with the optimizer, prepared; a gradient scaler (fp16) and DeepSpeed skip steps themselves.
    limit: steps in a row, skipped, after which the training ends. name: of the run, in messages.
    """

    def __init__(
        self, weights: WholeWeights, progress: Progress, processes: Processes, limit: int, name: str
    ) -> None:
        self.optimizer = weights.optimizer
        self.progress = progress
        self.processes = processes
        self.alone = weights.steps_alone
        self.limit = limit
        self.name = name
        self._fused = all(group.get("fused") for group in self.optimizer.param_groups)
        device = weights.accelerator.device
        self._since = torch.zeros((), device=device)  # skipped since the last check
        self._in_row = torch.zeros((), device=device)
        self._longest = torch.zeros((), device=device)  # row since the last check

    def step(self, norm: Tensor | None, losses: list[Tensor]) -> None:
        """Take a step, unless the norm of the gradient or a loss of its batches is not finite."""
        parts = losses if norm is None else [*losses, norm.to(losses[0])]
        bad = self.processes.any_on_device(~torch.stack(parts).isfinite().all())
        self._since += bad
        self._in_row = (self._in_row + 1) * bad
        self._longest = torch.maximum(self._longest, self._in_row)
        if self.alone:
            self.optimizer.step()
        elif self._fused:
            inner = self.optimizer.optimizer
            inner.found_inf = bad.float()  # as a gradient scaler sets it
            self.optimizer.step()
            del inner.found_inf
        elif not bad:
            self.optimizer.step()

    def check(self) -> None:
        """Count the steps skipped since the last call, and log a warning if there are any.

        Raises ValueError if ``limit`` in a row were skipped.
        """
        since, longest = int(self._since), int(self._longest)
        self._since.zero_()
        self._longest.copy_(self._in_row)
        if since:
            self.progress.skipped += since
            logging.log(
                logging.WARNING if self.processes.is_main else logging.DEBUG,
                "%s: %d steps up to step %d were skipped, because their loss or gradient is not finite "
                "(%d in all).",
                self.name,
                since,
                self.progress.step,
                self.progress.skipped,
            )
        if longest >= self.limit:
            raise ValueError(
                f"The loss or the gradient of {self.name} was not finite in {longest} steps in a row, up to "
                f"step {self.progress.step}. The last saved state is kept. Lower learning_rate, or train "
                "with bf16 instead of fp16."
            )
