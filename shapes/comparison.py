"""``python -m shapes.comparison``: score the demo's models on held-out layouts.

The judging processes import this module again, so it imports the models only where it uses them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ifadapter_diffusers.quiet  # noqa: F401  # before diffusers
from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS

OUTPUT = Path("docs/results")
QUICKSTART = Path("workflows/api/try_it_without_downloads.json")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    from .results.rows import MOST_LAYOUTS, TITLES

    parser = argparse.ArgumentParser(
        prog="python -m shapes.comparison", description="Score the demo's models into docs/results."
    )
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="folder of the models")
    parser.add_argument("--config", default="shapes", help="config file with the drawn world")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="report folder")
    parser.add_argument("--work", type=Path, default=Path("runs/results"), help="cache folder")
    parser.add_argument("--layouts", type=int, default=500)
    parser.add_argument("--heavy-layouts", type=int, default=100)
    parser.add_argument(
        "--ap50-layouts", type=int, default=100, help="layouts of each set on which the slow detector runs"
    )
    parser.add_argument(
        "--quickstart", type=Path, default=QUICKSTART, help="workflow in API format, painted at 8 seeds"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=TITLES, default=list(TITLES), help="rows")
    parser.add_argument("--device", default="cpu", help="where pictures are painted, for example cuda")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="judging processes")
    parser.add_argument(
        "--update", type=Path, nargs="+", default=[], metavar="README", help="files whose table to rewrite"
    )
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="a results.json: write its page and tables, paint nothing"
    )
    options = parser.parse_args(given)
    limits: dict[str, tuple[int, int | None]] = {
        "layouts": (2, MOST_LAYOUTS),  # the Frechet distance needs two pictures
        "heavy_layouts": (2, MOST_LAYOUTS),
        "ap50_layouts": (1, None),
        "steps": (1, None),
        "processes": (1, None),
    }
    for name, (least, most) in limits.items():
        value = getattr(options, name)
        if value < least or (most is not None and value > most):
            expected = f"at least {least}" if most is None else f"{least} to {most}"
            parser.error(f"--{name.replace('_', '-')} is {value}; expected {expected}.")
    return options


def main() -> int:
    options = arguments()
    if options.report:
        from .results.run import rewrite

        return rewrite(options)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one thread per judging process; read when it starts
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as judges:
        from .results.run import run

        try:
            return run(options, judges)
        except BaseException:
            judges.shutdown(wait=False, cancel_futures=True)
            raise


if __name__ == "__main__":
    raise SystemExit(main())
