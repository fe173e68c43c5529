"""The loss curve of a run: ``losses.csv`` and its plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ..processes.group import Processes
from ..run_state import Progress
from .csv_log import CsvLog

SMOOTHING = 0.05  # weight of each new row in the plot's moving average


class LossLog:
    """A CSV file with the mean loss of every few steps.

    The losses of all processes are gathered when a row is written, by the main one.
    """

    def __init__(self, path: Path, progress: Progress, processes: Processes) -> None:
        self.progress, self.processes, self.writes = progress, processes, processes.is_main
        self.log = CsvLog(path, progress.step, self.writes, ("step", "loss"))

    def add(self, losses: Sequence[Tensor]) -> None:
        """Add the losses () of this process's batches of a step to the next row."""
        self.progress.losses.extend(losses)

    def write_row(self) -> float:
        """Write the mean of the finite losses since the last row, and return it; NaN if there are none."""
        losses = torch.stack([torch.zeros(()), *(loss.cpu() for loss in self.progress.losses)]).double()
        finite = losses[1:][losses[1:].isfinite()]
        # In float64 the order of the sum shows in no digit of the file.
        total, count = self.processes.total(torch.stack([finite.sum(), torch.tensor(len(finite))])).tolist()
        mean = total / count if count else math.nan
        self.progress.losses.clear()
        self.log.add({"step": self.progress.step, "loss": mean})
        return mean

    def plot(self, path: Path, held_out: Sequence[tuple[int, float]] = ()) -> None:
        """Plot all rows and their moving average.

        held_out: steps and held-out losses, as a further curve.
        No-op without rows, in a process that writes none, or without matplotlib.
        """
        rows = self.log.curve() if self.writes else []
        rows = [(step, loss) for step, loss in rows if math.isfinite(loss)]
        if not rows or find_spec("matplotlib") is None:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*rows, strict=True), linewidth=0.5, alpha=0.4)
        smooth, mean = [], rows[0][1]
        for _, loss in rows:
            mean += SMOOTHING * (loss - mean)
            smooth.append(mean)
        axes.plot([step for step, _ in rows], smooth, label="training")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), marker=".", label="held out")
            axes.legend()
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        figure.savefig(path, dpi=100)
