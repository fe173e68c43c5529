"""``python -m evaluation sweep``: generate and score every point of a sweep file, and join the scores."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..sweep.report import table
from ..sweep.run import run_sweep
from .sweep_file import read_sweep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="sweep file in YAML; see docs/evaluation.md")
    parser.add_argument(
        "output",
        type=Path,
        help="folder for pictures, scores, table and plots; finished files are kept",
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or EvaluationError with a message for the user."""
    rows = run_sweep(read_sweep(options.config), options.output)
    sys.stdout.write(table(rows))
    return 0
