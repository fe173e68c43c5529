"""Measures a run, and writes what it measures."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from ..objective.bands import band_means
from ..run_state import RunState
from ..stop_requests import StopRequests
from .csv_log import CsvLog
from .loss_log import LossLog
from .process_memory import memory

BASE = "base_"  # prefix of the losses of the base model alone


class Monitor:
    """Collects the metrics of the steps of a run, and measures its held-out loss.

    A stage may offer more than ``loop.Stage`` asks for: ``objective.bands`` (``BandLosses``),
    ``gates()`` -> values by name, and ``held_out_loss`` (``HeldOutLoss`` or None).

    folder: of the run. clock: in seconds.
    """

    def __init__(
        self, stage: Any, state: RunState, folder: Path, clock: Callable[[], float], speaks: bool
    ) -> None:
        self.stage, self.state, self.folder, self.clock = stage, state, folder, clock
        self.accelerator: Accelerator = state.accelerator
        self.progress = state.progress
        self.processes = state.processes
        self.writes = self.processes.is_main
        self.speaks = speaks and self.writes
        self.losses = LossLog(folder / "losses.csv", self.progress, self.processes)
        self.held_out = getattr(stage, "held_out_loss", None)
        self._held_out_log = CsvLog(folder / "held_out.csv", self.progress.step, self.writes)
        self._base: dict[str, float] | None = None  # held-out losses of the base model
        batches = stage.batches
        size = getattr(batches, "batch_size", 0) or getattr(batches, "size", 0)
        self._pictures = size * self.accelerator.num_processes * self.accelerator.gradient_accumulation_steps
        self._norms = torch.zeros(3, device=self.accelerator.device)  # sum, number, maximum
        self._rate = 0.0
        self._step, self._time = self.progress.step, clock()

    def add(self, losses: Sequence[Tensor], norm: Tensor | None, rate: float) -> None:
        """Add a finished step: losses () of its batches, norm of its gradient, learning rate."""
        self.losses.add(losses)
        self._rate = rate
        if norm is not None:
            finite = norm.isfinite()
            value = norm.detach().to(self._norms).where(finite, 0.0)
            self._norms += torch.stack([value, finite.to(value), torch.zeros_like(value)])
            self._norms[2] = torch.maximum(self._norms[2], value)

    def write(self) -> float:
        """Write the metrics of the steps since the last call; returns the mean loss."""
        loss = self.losses.write_row()
        values = {"train/loss": loss, "train/learning_rate": self._rate, **self._gradient()}
        values["train/skipped_steps"] = self.progress.skipped
        if (bands := getattr(self.stage.objective, "bands", None)) is not None:
            sums = self.processes.total(bands.take())
            means = band_means(sums, bands.names())
            values |= {f"loss_by_timestep/{name}": value for name, value in means.items()}
        if hasattr(self.stage, "gates"):
            values |= {f"tanh_alpha/{name}": value for name, value in self.stage.gates().items()}
        speed = self._speed()
        values["speed/steps_per_second"] = speed
        if self._pictures:
            values["speed/pictures_per_second"] = speed * self._pictures
        values |= {f"memory/{name}": value for name, value in memory(self.accelerator.device).items()}
        self._log(values)
        pictures = f"  {speed * self._pictures:.0f} pictures/s" if self._pictures else ""
        self._say(f"loss {loss:.4f}  lr {self._rate:.1e}  {speed:.1f} steps/s{pictures}")
        return loss

    def catch_up(self, requests: StopRequests) -> bool:
        """As ``measure_held_out``, unless it is known for this step.

        For the start of a run, and where the run before stopped between saving and measuring.
        """
        known = self.writes and self.progress.step in [row for row, _ in self._held_out_log.curve()]
        return self.processes.any(known)[0] or self.measure_held_out(requests)

    def measure_held_out(self, requests: StopRequests) -> bool:
        """Measure and write the held-out loss of the averaged weights. No-op without held-out pictures.

        Returns False, without writing, if a request ended it.
        """
        if self.held_out is None:
            return True
        with self.paused():
            means = self.state.evaluate(lambda: self._measure(requests))
        if self._base is None or means is None:
            return False
        values = {**means, f"{BASE}loss": self._base["loss"]}
        self._held_out_log.add({"step": self.progress.step, **values})
        self._log({f"held_out/{name}": value for name, value in values.items()})
        self._say(f"held-out loss {values['loss']:.4f}  base model {self._base['loss']:.4f}")
        return True

    def plot(self) -> None:
        """Plot the losses, see ``LossLog.plot``."""
        self.losses.plot(self.folder / "loss.png", self._held_out_log.curve())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context whose time does not count as training, for the speed."""
        before = self.clock()
        yield
        self._time += self.clock() - before

    def _measure(self, requests: StopRequests) -> dict[str, float] | None:
        """The held-out losses; those of the base model are measured once. None after a request to stop."""
        with self.state.weights.autocast():
            self._base = self._base or self._held_out_means(requests, adapter=False)
            return self._held_out_means(requests) if self._base else None

    def _held_out_means(self, requests: StopRequests, adapter: bool = True) -> dict[str, float] | None:
        assert self.held_out is not None
        sums = []
        for part in self.held_out.parts(self.processes, adapter):
            sums.append(part)
            if self.processes.any(requests.made)[0]:
                return None
        return self.held_out.means(self.processes.total(torch.stack(sums).sum(dim=0)))

    def _gradient(self) -> dict[str, float]:
        total, count, largest = self._norms.tolist()
        self._norms.zero_()
        if not count:
            return {}
        return {"train/gradient_norm": total / count, "train/largest_gradient_norm": largest}

    def _speed(self) -> float:
        """Steps per second since the last call."""
        now = self.clock()
        speed = (self.progress.step - self._step) / max(now - self._time, 1e-9)
        self._step, self._time = self.progress.step, now
        return speed

    def _log(self, values: dict[str, float]) -> None:
        """Log the finite values: JSON and tensorboard have no others."""
        if self.writes:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            self.accelerator.log(finite, step=self.progress.step)

    def _say(self, text: str) -> None:
        """A line of text, where there is no terminal for a progress bar."""
        if self.speaks:
            sys.stdout.write(f"{self.folder.name}  step {self.progress.step}  {text}\n")
            sys.stdout.flush()
