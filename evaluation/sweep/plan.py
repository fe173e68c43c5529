"""The plan of a sweep: its points, and the parts of the benchmark that they are scored on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ifadapter_core.layout import Box, Layout

from ..benchmark import Benchmark
from ..generate.settings import GenerateSettings
from ..judge.settings import ScoreSettings


def instances(layout: Layout) -> float:
    """The number of instances."""
    return len(layout.instances)


def overlap(layout: Layout) -> float:
    """The largest fraction of a box that a single box in front of it covers, 0..1."""
    boxes = layout.boxes
    return max(
        (_covered(back, front) for number, back in enumerate(boxes) for front in boxes[number + 1 :]),
        default=0.0,
    )


def _covered(back: Box, front: Box) -> float:
    """The fraction of ``back`` that ``front`` covers, 0..1."""
    width = min(back.x1, front.x1) - max(back.x0, front.x0)
    height = min(back.y1, front.y1) - max(back.y0, front.y0)
    return max(width, 0.0) * max(height, 0.0) / ((back.x1 - back.x0) * (back.y1 - back.y0))


SELECTIONS: dict[str, Callable[[Layout], float]] = {"instances": instances, "overlap": overlap}


@dataclass(frozen=True)
class Part:
    """The layouts of a benchmark with low <= property < high.

    select: the property, a key of ``SELECTIONS``.
    low: lower bound, included.
    high: upper bound, excluded; may be infinite.
    """

    select: str
    low: float
    high: float

    def of(self, benchmark: Benchmark) -> dict[str, Layout]:
        """The selected layouts by name. Raises ValueError if there are none."""
        measure = SELECTIONS[self.select]
        layouts = {
            entry.name: entry.layout
            for entry in benchmark.entries
            if self.low <= measure(entry.layout) < self.high
        }
        if not layouts:
            raise ValueError(
                f"No layout of the benchmark has {self.select} in {self}. Remove the value from the sweep."
            )
        return layouts

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{self.low:g} and more"
        if SELECTIONS[self.select] is not instances:
            return f"{self.low:g} to below {self.high:g}"
        return f"{self.low:g}" if self.high - self.low == 1 else f"{self.low:g} to {self.high - 1:g}"


@dataclass(frozen=True)
class Point:
    """One row of the table.

    name: unique in the sweep.
    variant: name of the variant that the point belongs to.
    options: options of ``generate`` as words, for the report.
    settings: how the pictures are generated.
    axis: name of the axis; None for the variant itself.
    value: position on the axis; None for the variant itself.
    part: the layouts that are scored; None for all.
    """

    name: str
    variant: str
    options: tuple[str, ...]
    settings: GenerateSettings
    axis: str | None = None
    value: float | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Sweep:
    """A whole sweep.

    benchmark: its folder.
    points: the variants, then the points of each axis; a part of the benchmark comes after its
        variant.
    score: how all pictures are scored.
    columns: path in ``scores.json`` (keys joined by dots) by column title; the first column is
        plotted.
    interval: path in ``scores.json`` of [low, high] of the first column; None for no intervals.
    axes: names of the axes, each with a plot.
    """

    benchmark: Path
    points: tuple[Point, ...]
    score: ScoreSettings
    columns: dict[str, str]
    interval: str | None
    axes: tuple[str, ...]


def slug(name: str) -> str:
    """A file name made from a name: lower case, with underscores."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_.")
