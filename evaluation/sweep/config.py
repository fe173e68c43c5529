"""Many variants of one benchmark, generated and scored: which there are, and what of the benchmark each is scored on."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ifadapter_core.layout import Box, Layout

from ..benchmark import Benchmark

VALUE = "{value}"
KEYS = ("benchmark", "generate", "score", "columns", "interval", "variants", "axes")
AXIS_KEYS = ("options", "select", "values", "variants")

Options = tuple[str, ...]  # as they are written on the command line


def instances(layout: Layout) -> float:
    return len(layout.instances)


def overlap(layout: Layout) -> float:
    """The largest part of a box that boxes in front of it, one at a time, cover."""
    boxes = layout.boxes
    return max(
        (_covered(back, front) for number, back in enumerate(boxes) for front in boxes[number + 1 :]),
        default=0.0,
    )


def _covered(back: Box, front: Box) -> float:
    width = min(back.x1, front.x1) - max(back.x0, front.x0)
    height = min(back.y1, front.y1) - max(back.y0, front.y0)
    return max(width, 0.0) * max(height, 0.0) / ((back.x1 - back.x0) * (back.y1 - back.y0))


SELECTIONS: dict[str, Callable[[Layout], float]] = {"instances": instances, "overlap": overlap}


@dataclass(frozen=True)
class Part:
    """The layouts of which a property is in low <= property < high."""

    select: str
    low: float
    high: float

    def of(self, benchmark: Benchmark) -> dict[str, Layout]:
        """By name. Raises ValueError when there are none."""
        measure = SELECTIONS[self.select]
        layouts = {
            entry.name: entry.layout
            for entry in benchmark.entries
            if self.low <= measure(entry.layout) < self.high
        }
        if not layouts:
            raise ValueError(
                f"No layout of the benchmark has {self.select} in {self}. Take the value out of the sweep."
            )
        return layouts

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{self.low:g} and more"
        if SELECTIONS[self.select] is not instances:
            return f"{self.low:g} to below {self.high:g}"
        return f"{self.low:g}" if self.high - self.low == 1 else f"{self.low:g} to {self.high - 1:g}"


@dataclass(frozen=True)
class Axis:
    """A series of values, for each of some variants.

    options: of the generator, with ``{value}`` in them; or select: a property of layouts, and each value is the lower bound of a
    part of the benchmark that goes up to the next value, the last without end.
    """

    name: str
    values: tuple[float, ...]
    variants: tuple[str, ...]
    options: str | None = None
    select: str | None = None


@dataclass(frozen=True)
class Point:
    """A row of the table. options: of the generator, all together. axis, value: where it stands in a plot, if it does."""

    name: str
    variant: str
    options: Options
    axis: str | None = None
    value: float | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Sweep:
    """A whole config.

    benchmark: its folder. generate, score: options of these commands for all variants. variants: further options of the generator.
    columns: title -> place in the scorer's scores.json, keys with dots between; the first is plotted. interval: place of [low, high]
    for the plots.
    """

    benchmark: Path
    generate: Options
    score: Options
    columns: dict[str, str]
    interval: str | None
    variants: dict[str, Options]
    axes: tuple[Axis, ...]

    def points(self) -> list[Point]:
        """The variants, then the axes' values."""
        points = [Point(name, name, (*self.generate, *options)) for name, options in self.variants.items()]
        for axis in self.axes:
            for variant in axis.variants:
                for number, value in enumerate(axis.values):
                    points.append(self._point(axis, variant, value, [*axis.values, math.inf][number + 1]))
        return points

    def _point(self, axis: Axis, variant: str, value: float, following: float) -> Point:
        options = (*self.generate, *self.variants[variant])
        if axis.select:
            part = Part(axis.select, value, following)
            return Point(f"{variant}, {axis.name} {part}", variant, options, axis.name, value, part)
        added = shlex.split(str(axis.options).replace(VALUE, f"{value:g}"))
        return Point(f"{variant}, {axis.name} {value:g}", variant, (*options, *added), axis.name, value)


def read_sweep(path: Path) -> Sweep:
    """Raises ValueError that names the key when one is unknown, missing or wrong."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    _check_keys(data, path.name, KEYS, required=("benchmark", "generate", "columns", "variants"))
    variants = {
        str(name): _options(line, f"{path.name}: variants: {name}")
        for name, line in _section(data, "variants", path).items()
    }
    columns = {str(title): str(place) for title, place in _section(data, "columns", path).items()}
    axes = tuple(
        _axis(str(name), each, variants, path.name) for name, each in (data.get("axes") or {}).items()
    )
    slugs = [slug(name) for name in (*variants, *(axis.name for axis in axes))]
    if len(set(slugs)) < len(slugs):
        raise ValueError(
            f"{path.name}: two variants or axes have names too alike for files: {', '.join(sorted(slugs))}."
        )
    return Sweep(
        benchmark=Path(str(data["benchmark"])),
        generate=_options(data["generate"], f"{path.name}: generate"),
        score=_options(data.get("score"), f"{path.name}: score"),
        columns=columns,
        interval=data.get("interval"),
        variants=variants,
        axes=axes,
    )


def slug(name: str) -> str:
    """A name for files."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_.")


def _axis(name: str, data: Any, variants: dict[str, Options], where: str) -> Axis:
    where = f"{where}: axes: {name}"
    _check_keys(data, where, AXIS_KEYS, required=("values",))
    values, of = data["values"], data.get("variants", [next(iter(variants))])
    if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{where}: values is {values!r}; expected a list of numbers.")
    if values != sorted(set(values)):
        raise ValueError(f"{where}: values is {values!r}; expected each larger than the one before.")
    if not isinstance(of, list) or not of or not set(of) <= variants.keys():
        raise ValueError(f"{where}: variants is {of!r}; expected some of {', '.join(variants)}.")
    options, select = data.get("options"), data.get("select")
    if (options is None) == (select is None):
        raise ValueError(f"{where}: give either options, with {VALUE} in them, or select.")
    if options is not None and VALUE not in str(options):
        raise ValueError(f"{where}: options is {options!r}; expected {VALUE} in it.")
    if select is not None and select not in SELECTIONS:
        raise ValueError(f"{where}: select is {select!r}; expected one of {', '.join(SELECTIONS)}.")
    return Axis(name, tuple(map(float, values)), tuple(of), options, select)


def _options(line: Any, where: str) -> Options:
    if line is not None and not isinstance(line, str):
        raise ValueError(f"{where} is {line!r}; expected options as on the command line.")
    return tuple(shlex.split(line or ""))


def _section(data: dict[str, Any], key: str, path: Path) -> dict[Any, Any]:
    if not isinstance(data[key], dict) or not data[key]:
        raise ValueError(f"{path.name}: {key} is {data[key]!r}; expected at least one name with a value.")
    return data[key]


def _check_keys(data: Any, where: str, known: Sequence[str], required: Sequence[str]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {data!r}; expected keys with values.")
    unknown, missing = (
        [str(key) for key in data if key not in known],
        [key for key in required if key not in data],
    )
    if unknown or missing:
        problems = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [
            f"missing: {', '.join(missing)}"
        ] * bool(missing)
        raise ValueError(f"{where}: {'; '.join(problems)}. The keys are {', '.join(known)}.")
