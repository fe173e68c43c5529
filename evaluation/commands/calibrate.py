"""``python -m evaluation calibrate``: the paper's protocol beside an exact verifier, in the drawn world."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..benchmark import read_benchmark
from ..judge.drawn_world import ShapesDetector, ShapesVerifier, check_world
from ..judge.scorer import Scorer
from ..pictures import check_pictures
from ..report.calibration import Calibration, calibrate


@dataclass(frozen=True)
class CalibrateSettings:
    """What to calibrate on.

    benchmark: folder of a benchmark of the drawn world.
    methods: folder of pictures of each method, by the folder's name.
    """

    benchmark: Path
    methods: Mapping[str, Path]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", type=Path, help="folder written by `python -m evaluation build --world`")
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="+",
        metavar="folder",
        help="folder with NAME.png for each layout; one row each",
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError or OSError with a message for the user."""
    settings = settings_of(options)
    benchmark = read_benchmark(settings.benchmark)
    check_world(benchmark)
    for folder in settings.methods.values():
        check_pictures(benchmark, folder)
    scorer = Scorer(ShapesDetector(), [ShapesVerifier()])
    sys.stdout.write(table(calibrate(scorer, benchmark, settings.methods)))
    return 0


def settings_of(options: argparse.Namespace) -> CalibrateSettings:
    """Raises ValueError if two folders have the same name."""
    return CalibrateSettings(options.benchmark, _by_name(options.pictures))


def table(found: Calibration) -> str:
    """Markdown: instance feature success in percent, and the pairs that the two rank differently."""
    rows = [("", "protocol", "exact verifier"), ("---",) * 3]
    rows += [
        (name, f"{100 * found.protocol[name]:.1f}", f"{100 * exact:.1f}")
        for name, exact in found.exact.items()
    ]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    pairs = "; ".join(f"{better} and {worse}" for better, worse in found.disagreements)
    verdict = (
        f"The two rank these pairs differently: {pairs}." if pairs else "The two rank all folders alike."
    )
    return f"{body}\n\n{verdict}\n"


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    named = {folder.resolve().name: folder for folder in folders}
    if len(named) < len(folders):
        raise ValueError(
            f"The folders are {', '.join(map(str, folders))}; expected different names, which label the rows."
        )
    return named
