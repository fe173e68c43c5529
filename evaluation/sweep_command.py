"""``python -m evaluation sweep``: generate and score for every variant of a config, and join the scores."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import generate_command
from .benchmark import read_benchmark, write_benchmark
from .errors import EvaluationError
from .sweep import Point, Sweep, read_sweep, slug
from .sweep_report import Row, make_row, table, write_plots, write_table

Score = Callable[[Path, Path, Path, Sequence[str]], dict[str, Any]]
"""Benchmark, pictures and output folder and further options of ``score`` -> what it writes into scores.json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a .yaml file, see docs/evaluation.md")
    parser.add_argument("output", type=Path, help="folder for pictures, scores, the table and the plots; what is there is kept")


def run(options: argparse.Namespace) -> int:
    rows = run_sweep(read_sweep(options.config), options.output)
    sys.stdout.write(table(rows))
    return 0


def score_by_command(benchmark: Path, pictures: Path, output: Path, options: Sequence[str]) -> dict[str, Any]:
    from . import score_command

    parser = _Parser("score")
    score_command.add_arguments(parser)
    if score_command.run(parser.parse_args([*map(str, (benchmark, pictures, output)), *options])):
        raise EvaluationError(f"The pictures in {pictures} could not be scored.")
    scores: dict[str, Any] = json.loads((output / "scores.json").read_text("utf-8"))
    return scores


def run_sweep(sweep: Sweep, folder: Path, score: Score = score_by_command) -> list[Row]:
    """Write the report into ``folder``. Points with the same options share their pictures.

    Raises ValueError, before anything is made, when an option of the generator or a part of the benchmark is wrong.
    """
    points = sweep.points()
    benchmark = read_benchmark(sweep.benchmark)
    parts = {point.name: point.part.of(benchmark) for point in points if point.part}
    names: dict[tuple[str, ...], str] = {}
    for point in points:
        names.setdefault(point.options, slug(point.name))
    commands = {point.options: _generate_options(sweep, point, folder / "pictures" / names[point.options]) for point in points}
    rows, made = [], set()
    for point in points:
        command = commands[point.options]
        if point.options not in made:
            sys.stderr.write(f"{point.name}\n")
            generate_command.run(command)
            made.add(point.options)
        scored = sweep.benchmark
        if point.part:
            scored = folder / "benchmarks" / f"{point.part.select}_{point.part.low:g}_{point.part.high:g}"
            write_benchmark(scored, parts[point.name], {**benchmark.source, point.part.select: str(point.part), "of": benchmark.digest})
        scores = score(scored, command.output, folder / "scores" / slug(point.name), sweep.score)
        rows.append(make_row(sweep, point, len(parts.get(point.name, benchmark.entries)), scores))
        write_table(rows, folder)
    write_plots(sweep, rows, folder)
    return rows


def _generate_options(sweep: Sweep, point: Point, pictures: Path) -> argparse.Namespace:
    parser = _Parser(f"{point.name}: generate")
    generate_command.add_arguments(parser)
    return parser.parse_args([str(sweep.benchmark), str(pictures), *point.options])


class _Parser(argparse.ArgumentParser):
    """Raises ValueError in place of leaving the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}")
