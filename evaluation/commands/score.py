"""``python -m evaluation score``: score the pictures of a benchmark.

Runs in one process, or in several under ``accelerate launch``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..benchmark import read_benchmark
from ..judge.settings import DEFAULT_THRESHOLD, SHAPES, ScoreSettings, VerifierSettings
from ..report.score_folder import score_folder
from ..report.score_table import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", type=Path, help="folder written by `python -m evaluation build`")
    parser.add_argument("pictures", type=Path, help="folder with NAME.png for each layout")
    parser.add_argument("output", type=Path, help="folder for the scores; cached results in it are reused")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options but the folders."""
    parser.add_argument(
        "--detector",
        required=True,
        metavar="MODEL",
        help=f"Grounding DINO by hub id or folder, or {SHAPES}",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        help=f"minimum score of a detection by Grounding DINO (default {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--verifier",
        action="append",
        required=True,
        metavar="MODEL[@URL]",
        help="image-text-to-text model by hub id or folder, or a model behind an OpenAI-compatible server "
        f"(URL up to /v1), or {SHAPES}; repeatable",
    )
    parser.add_argument("--clip", metavar="MODEL", help="also compute the CLIP score, by hub id or folder")
    parser.add_argument(
        "--real", type=Path, metavar="FOLDER", help="also compute the FID to these real pictures"
    )


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or EvaluationError with a message for the user."""
    settings = settings_of(options)
    summary = score_folder(read_benchmark(options.benchmark), options.pictures, options.output, settings)
    if summary:  # only the main process has one
        sys.stdout.write(table([summary]))
    return 0


def settings_of(options: argparse.Namespace) -> ScoreSettings:
    """Raises ValueError for contradictory or invalid options. Loads no model."""
    threshold = options.threshold
    if options.detector == SHAPES and threshold is not None:
        raise ValueError(f"--threshold cannot be used: the detector {SHAPES} has its own.")
    if options.detector != SHAPES and threshold is None:
        threshold = DEFAULT_THRESHOLD
    return ScoreSettings(
        detector=options.detector,
        threshold=threshold,
        verifiers=tuple(read_verifier(text) for text in options.verifier),
        clip=options.clip,
        real=options.real,
    )


def read_verifier(text: str) -> VerifierSettings:
    """Parse ``MODEL`` or ``MODEL@URL``. Raises ValueError if the URL is not one."""
    name, at, url = text.partition("@")
    if at and not url.startswith(("http://", "https://")):
        raise ValueError(
            f"--verifier {name}@: expected a URL after the @, for example {name}@http://127.0.0.1:8000/v1."
        )
    return VerifierSettings(name, url)
