"""``python -m evaluation table``: what several runs of ``score`` wrote, as one table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..report.score_table import SCORES, table

SETTINGS = (
    "benchmark",
    "detector",
    "threshold",
    "verifiers",
    "question",
)  # in which rows of one table may not differ
COLUMNS = {"clip": "model", "fid": "real_pictures"}  # and, where both have these, in this


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scores",
        type=Path,
        nargs="+",
        metavar="folder",
        help="that `python -m evaluation score` wrote; a row each",
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError or OSError with what to do about it."""
    first, *others = options.scores
    summaries = {folder: _read(folder) for folder in options.scores}
    for folder in others:
        one, other = _origin(summaries[first]), _origin(summaries[folder])
        differing = [
            f"{key} is {one[key]!r} and {other[key]!r}"
            for key in one
            if key in other and one[key] != other[key]
        ]
        if differing:
            raise ValueError(
                f"{first} and {folder} are no rows of one table: {'; '.join(differing)}. Score both alike."
            )
    sys.stdout.write(table(list(summaries.values())))
    return 0


def _read(folder: Path) -> dict[str, Any]:
    path = folder / SCORES
    if not path.is_file():
        raise ValueError(f"{folder} has no {SCORES}. Give folders that `python -m evaluation score` wrote.")
    try:
        summary: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove it; `python -m evaluation score` makes it again."
        ) from error
    return summary


def _origin(summary: dict[str, Any]) -> dict[str, Any]:
    columns = {column: summary[column][key] for column, key in COLUMNS.items() if column in summary}
    return {**{key: summary.get(key) for key in SETTINGS}, **columns}
