"""Reads a sweep file (YAML).

Its option lines are parsed here, once, with the parsers of ``generate`` and ``score``.
"""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ..generate.settings import GenerateSettings
from ..judge.settings import ScoreSettings
from ..sweep.plan import SELECTIONS, Part, Point, Sweep, slug
from . import generate as generate_command
from . import score as score_command

VALUE = "{value}"  # replaced by a value of the axis
KEYS = ("benchmark", "generate", "score", "columns", "interval", "variants", "axes")
AXIS_KEYS = ("options", "select", "values", "variants")

Words = tuple[str, ...]  # options as words of a command line


@dataclass(frozen=True)
class Axis:
    """A series of values, for some of the variants. Either ``options`` or ``select`` is given.

    name: title of its plot.
    values: positions, ascending. With ``select``, each one is the lower bound of a part of the
        benchmark, and the next one its upper bound; the last part has none.
    variants: names of the variants.
    options: options of ``generate``, containing ``{value}``; else None.
    select: property of layouts, a key of ``SELECTIONS``; else None.
    """

    name: str
    values: tuple[float, ...]
    variants: tuple[str, ...]
    options: str | None = None
    select: str | None = None


def read_sweep(path: Path) -> Sweep:
    """Raises ValueError that names the key or the option that is unknown, missing or wrong."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error

    # Read the sections.
    _check_keys(data, path.name, KEYS, required=("benchmark", "generate", "columns", "variants"))
    common = _words(data["generate"], f"{path.name}: generate")
    variants = {
        str(name): (*common, *_words(line, f"{path.name}: variants: {name}"))
        for name, line in _section(data, "variants", path).items()
    }
    columns = {str(title): str(place) for title, place in _section(data, "columns", path).items()}
    plots = {} if data.get("axes") is None else _section(data, "axes", path)
    axes = [_axis(str(name), each, variants, path.name) for name, each in plots.items()]
    score = _words(data.get("score"), f"{path.name}: score")

    # Names become file names.
    slugs = [slug(name) for name in (*variants, *(axis.name for axis in axes))]
    if len(set(slugs)) < len(slugs):
        raise ValueError(
            f"{path.name}: two variants or axes have the same file name: {', '.join(sorted(slugs))}."
        )

    # Parse the options of every point.
    points = [_point(name, name, words) for name, words in variants.items()]
    points += [point for axis in axes for point in _axis_points(axis, variants)]
    return Sweep(
        benchmark=Path(str(data["benchmark"])),
        points=tuple(points),
        score=_score_settings(score),
        columns=columns,
        interval=data.get("interval"),
        axes=tuple(axis.name for axis in axes),
    )


def _axis(name: str, data: Any, variants: dict[str, Words], where: str) -> Axis:
    where = f"{where}: axes: {name}"
    _check_keys(data, where, AXIS_KEYS, required=("values",))
    values, of = data["values"], data.get("variants", [next(iter(variants))])
    if not isinstance(values, list) or not values or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{where}: values is {values!r}; expected a list of numbers.")
    if values != sorted(set(values)):
        raise ValueError(f"{where}: values is {values!r}; expected ascending numbers.")
    if not isinstance(of, list) or not of or not set(of) <= variants.keys():
        raise ValueError(f"{where}: variants is {of!r}; expected some of {', '.join(variants)}.")
    options, select = data.get("options"), data.get("select")
    if (options is None) == (select is None):
        raise ValueError(f"{where}: give either options, containing {VALUE}, or select.")
    if options is not None and VALUE not in str(options):
        raise ValueError(f"{where}: options is {options!r}; expected {VALUE} in it.")
    if select is not None and select not in SELECTIONS:
        raise ValueError(f"{where}: select is {select!r}; expected one of {', '.join(SELECTIONS)}.")
    return Axis(name, tuple(values), tuple(of), options, select)


def _axis_points(axis: Axis, variants: dict[str, Words]) -> list[Point]:
    """One point per variant and value."""
    points = []
    for variant in axis.variants:
        words = variants[variant]
        for value, following in zip(axis.values, (*axis.values[1:], math.inf), strict=True):
            if axis.select:
                part = Part(axis.select, value, following)
                points.append(
                    _point(f"{variant}, {axis.name} {part}", variant, words, axis.name, value, part)
                )
            else:
                added = shlex.split(str(axis.options).replace(VALUE, exact(value)))
                name = f"{variant}, {axis.name} {exact(value)}"
                points.append(_point(name, variant, (*words, *added), axis.name, value))
    return points


def exact(value: float) -> str:
    """A number as text that reads as the same number; whole ones without a point."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def _point(
    name: str,
    variant: str,
    words: Words,
    axis: str | None = None,
    value: float | None = None,
    part: Part | None = None,
) -> Point:
    return Point(name, variant, words, _generate_settings(name, words), axis, value, part)


def _generate_settings(point: str, words: Words) -> GenerateSettings:
    parser = _Parser(f"{point}: generate")
    generate_command.add_options(parser)
    options = parser.parse_args(words)
    try:
        return generate_command.settings_of(options)
    except ValueError as error:
        raise ValueError(f"{parser.prog}: {error}") from error


def _score_settings(words: Words) -> ScoreSettings:
    parser = _Parser("score")
    score_command.add_options(parser)
    return score_command.settings_of(parser.parse_args(words))


class _Parser(argparse.ArgumentParser):
    """Raises ValueError instead of exiting the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}")


def _words(line: Any, where: str) -> Words:
    """Split a line of options into words, as a shell does."""
    if line is not None and not isinstance(line, str):
        raise ValueError(f"{where} is {line!r}; expected options as on the command line.")
    return tuple(shlex.split(line or ""))


def _section(data: dict[str, Any], key: str, path: Path) -> dict[Any, Any]:
    """A mapping with at least one entry."""
    section = data[key]
    if not isinstance(section, dict) or not section:
        raise ValueError(f"{path.name}: {key} is {section!r}; expected at least one name with a value.")
    return section


def _check_keys(data: Any, where: str, known: Sequence[str], required: Sequence[str]) -> None:
    """Raises ValueError if ``data`` is not a mapping, or has unknown or missing keys."""
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {data!r}; expected keys with values.")
    unknown = [str(key) for key in data if key not in known]
    missing = [key for key in required if key not in data]
    problems = [f"unknown: {', '.join(unknown)}"] if unknown else []
    problems += [f"missing: {', '.join(missing)}"] if missing else []
    if problems:
        raise ValueError(f"{where}: {'; '.join(problems)}. The keys are {', '.join(known)}.")
