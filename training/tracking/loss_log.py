"""The loss curve of a run: ``losses.csv`` and its plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from .run_state import Progress

SMOOTHING = 0.05  # weight of each new row in the plot's moving average


class LossLog:
    """A CSV file with the mean loss of every few steps, continued when a run resumes.

    writes: whether this process writes the file; only one of several processes does.
    """

    def __init__(self, path: Path, progress: Progress, writes: bool) -> None:
        self.path, self.progress, self.writes = path, progress, writes
        if writes:  # drop the rows of steps that a resumed run repeats
            rows = [row for row in self._rows() if int(row[0]) <= progress.step]
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("step", "loss"), *rows])

    def add(self, losses: Sequence[Tensor]) -> None:
        """Add the losses () of the batches of a step to the next row."""
        self.progress.losses.extend(losses)

    def write_row(self) -> float:
        """Write the mean of the finite losses since the last row, and return it; NaN if there are none."""
        losses = torch.stack([loss.cpu() for loss in self.progress.losses])
        mean = losses[losses.isfinite()].mean().item()
        self.progress.losses.clear()
        if self.writes:
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerow((self.progress.step, f"{mean:.6f}"))
        return mean

    def plot(self, path: Path) -> None:
        """Plot all rows and their moving average.

        No-op without rows, in a process that writes none, or without matplotlib.
        """
        rows = [(int(step), float(loss)) for step, loss in self._rows()] if self.writes else []
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
        axes.plot([step for step, _ in rows], smooth)
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        figure.savefig(path, dpi=100)

    def _rows(self) -> list[list[str]]:
        """The rows without the header, unparsed, so that rewriting them does not change them."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.reader(file))[1:]
