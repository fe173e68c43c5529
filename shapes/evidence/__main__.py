"""``python -m shapes.evidence``: run studies in the drawn world and write docs/evidence.md.

It imports the models only where it uses them, so that wrong arguments are named at once.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ifadapter_diffusers.quiet  # noqa: F401  # before diffusers
from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS

from .processes import follow_parent


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shapes.evidence",
        description="Answer open questions of the method in the drawn world. A stopped run resumes.",
    )
    parser.add_argument(
        "--studies",
        nargs="+",
        default=["untrained"],
        help="names of studies, or: untrained (those that train nothing, the default), trained, all",
    )
    parser.add_argument("--list", action="store_true", help="list the studies and exit")
    parser.add_argument("--layouts", type=int, default=300, help="layouts of each condition")
    parser.add_argument("--steps", type=int, default=STEPS, help="sampling steps")
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where pictures are painted, for example cuda")
    parser.add_argument("--train-steps", type=int, default=600, help="of each adapter that a study trains")
    parser.add_argument("--train-batch", type=int, default=160, help="pictures of a training step")
    parser.add_argument("--pool", type=int, default=100_000, help="scenes to train on")
    parser.add_argument(
        "--timing", action="store_true", help="of the study cost: time steps, on an otherwise idle machine"
    )
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="folder of the shipped models")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="cache folder")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="where evidence.md goes")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="judging and drawing processes")
    parser.add_argument(
        "--update", type=Path, nargs="+", default=[], metavar="README", help="files whose table to rewrite"
    )
    parser.add_argument(
        "--report", action="store_true", help="write the page and plots of results.json again, paint nothing"
    )
    return parser


def main(given: Sequence[str] | None = None) -> int:
    options = parser().parse_args(given)
    from .command import check, run

    try:
        studies = check(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one thread per judging process; read when it starts
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, context, initializer=follow_parent) as judges:
        try:
            return run(options, studies, judges)
        except BaseException:
            judges.shutdown(wait=False, cancel_futures=True)
            raise


if __name__ == "__main__":
    raise SystemExit(main())
