"""``python -m evaluation table``: the results of several runs of ``score`` as one table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report.score_table import SCORES, table

# Parts of scores.json that must be equal in all rows of a table; those of a column where both rows have it.
SAME_KEYS = ("benchmark", "detector", "threshold", "verifiers", "question")
SAME_COLUMN_KEYS = {"clip": "model", "fid": "real_pictures"}


@dataclass(frozen=True)
class TableSettings:
    """What to join.

    scores: folders written by ``score``; one row each.
    """

    scores: tuple[Path, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scores",
        type=Path,
        nargs="+",
        metavar="folder",
        help="folder written by `python -m evaluation score`; one row each",
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError or OSError with a message for the user."""
    settings = TableSettings(tuple(options.scores))
    sys.stdout.write(join(settings))
    return 0


def join(settings: TableSettings) -> str:
    """The table of all folders. Raises ValueError if two were scored with different settings."""
    first, *others = settings.scores
    summaries = {folder: _read(folder) for folder in settings.scores}
    for folder in others:
        one, other = _comparable(summaries[first]), _comparable(summaries[folder])
        differing = [
            f"{key} is {one[key]!r} and {other[key]!r}"
            for key in one
            if key in other and one[key] != other[key]
        ]
        if differing:
            raise ValueError(
                f"{first} and {folder} cannot share a table: {'; '.join(differing)}. "
                "Score both with the same settings."
            )
    return table(list(summaries.values()))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / SCORES
    if not path.is_file():
        raise ValueError(f"{folder} has no {SCORES}. Give folders written by `python -m evaluation score`.")
    try:
        summary: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove it; `python -m evaluation score` writes it again."
        ) from error
    return summary


def _comparable(summary: dict[str, Any]) -> dict[str, Any]:
    """The parts of a summary that must be equal within a table."""
    columns = {column: summary[column][key] for column, key in SAME_COLUMN_KEYS.items() if column in summary}
    return {**{key: summary.get(key) for key in SAME_KEYS}, **columns}
