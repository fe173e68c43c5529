"""``python -m evaluation sweep``: generate and score for every variant of a config, and join the scores."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from ..benchmark import read_benchmark, write_benchmark
from ..judge.scorer import lend_records
from ..sweep.config import Point, Sweep, read_sweep, slug
from ..sweep.report import Row, make_row, table, write_plots, write_table
from . import generate as generate_command
from . import score as score_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="a .yaml file, see docs/evaluation.md")
    parser.add_argument(
        "output",
        type=Path,
        help="folder for pictures, scores, the table and the plots; what is there is kept",
    )


def run(options: argparse.Namespace) -> int:
    rows = run_sweep(read_sweep(options.config), options.output)
    sys.stdout.write(table(rows))
    return 0


def run_sweep(sweep: Sweep, folder: Path) -> list[Row]:
    """Write the report into ``folder``. Points whose pictures come from the same settings share them.

    Raises ValueError, before anything is made, when an option of the generator or of the scorer or a part of the benchmark is wrong.
    """
    points = sweep.points()
    benchmark = read_benchmark(sweep.benchmark)
    parts = {point.name: point.part.of(benchmark) for point in points if point.part}
    names: dict[str, str] = {}  # of folders, by what the pictures come from
    generations = {}
    for point in points:
        generation = _parse(
            f"{point.name}: generate", generate_command, [sweep.benchmark, folder, *point.options]
        )
        made_from = json.dumps([generation.seed, generate_command.settings_of(generation)], sort_keys=True)
        generation.output = folder / "pictures" / names.setdefault(made_from, slug(point.name))
        generations[point.name] = generation
    scorings = {
        point.name: _scoring(sweep, point, generations[point.name].output, folder) for point in points
    }
    score_command.check(scorings[points[0].name], benchmark)
    rows = []
    for point in points:
        sys.stderr.write(f"{point.name}\n")
        generation, scoring = generations[point.name], scorings[point.name]
        generate_command.run(generation)
        if point.part:
            source = {**benchmark.source, point.part.select: str(point.part), "of": benchmark.digest}
            part = write_benchmark(scoring.benchmark, parts[point.name], source)
            lend_records(
                scorings[point.variant].output, scoring.output, part.entries
            )  # of the variant, which was scored before
        scores = score_command.score(scoring)
        rows.append(make_row(sweep, point, len(parts.get(point.name, benchmark.entries)), scores))
        write_table(rows, folder)
    write_plots(sweep, rows, folder)
    return rows


def _scoring(sweep: Sweep, point: Point, pictures: Path, folder: Path) -> argparse.Namespace:
    scored = sweep.benchmark
    if point.part:
        scored = folder / "benchmarks" / f"{point.part.select}_{point.part.low:g}_{point.part.high:g}"
    return _parse(
        "score", score_command, [scored, pictures, folder / "scores" / slug(point.name), *sweep.score]
    )


def _parse(name: str, command: ModuleType, words: Sequence[str | Path]) -> argparse.Namespace:
    parser = _Parser(name)
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


class _Parser(argparse.ArgumentParser):
    """Raises ValueError in place of leaving the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}")
