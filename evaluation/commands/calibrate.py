"""``python -m evaluation calibrate``: the protocol beside a verifier that knows all boxes, on pictures of the drawn world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..benchmark import read_benchmark
from ..judge.calibration import Calibration, calibrate
from ..judge.drawn_world import ShapesDetector, ShapesVerifier, check_world
from ..judge.scorer import Scorer, check_pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", type=Path, help="folder that `python -m evaluation build --world` wrote")
    parser.add_argument(
        "pictures", type=Path, nargs="+", metavar="folder", help="with NAME.png for each layout; a row each"
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError or OSError with what to do about it."""
    benchmark = read_benchmark(options.benchmark)
    check_world(benchmark)
    methods = _by_name(options.pictures)
    for folder in methods.values():
        check_pictures(benchmark, folder)
    found = calibrate(Scorer(ShapesDetector(), [ShapesVerifier()]), benchmark, methods)
    sys.stdout.write(table(found))
    return 0


def table(found: Calibration) -> str:
    """Markdown: instance feature success in percent, and the pairs that the two do not rank alike."""
    rows = [("", "protocol", "exact verifier"), ("---",) * 3]
    rows += [
        (name, f"{100 * found.protocol[name]:.1f}", f"{100 * exact:.1f}")
        for name, exact in found.exact.items()
    ]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    pairs = "; ".join(f"{better} and {worse}" for better, worse in found.differing)
    return f"{body}\n\n" + (
        f"The two rank these otherwise: {pairs}.\n" if pairs else "The two rank all folders alike.\n"
    )


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    named = {folder.resolve().name: folder for folder in folders}
    if len(named) < len(folders):
        raise ValueError(
            f"The folders are {', '.join(map(str, folders))}; expected each to have another name, for the table."
        )
    return named
