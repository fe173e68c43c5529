"""``python -m evaluation score``: judge the pictures of a benchmark, alone or in many processes by ``accelerate launch``."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..benchmark import Benchmark, read_benchmark
from ..errors import INSTALL
from ..files import json_bytes, keep_settings, write_whole
from ..judge.caption_scores import score_captions
from ..judge.detector import Detector
from ..judge.drawn_world import ShapesDetector, ShapesVerifier, check_world
from ..judge.fid import frechet_inception_distance, real_pictures
from ..judge.scorer import (
    Scorer,
    check_names,
    check_pictures,
    picture_path,
    read_scores,
    score_pictures,
    unjudged,
)
from ..judge.verifier import Verifier
from ..judge.yes_no import PROMPT, YesNoVerifier
from ..report.metrics import mean
from ..report.score_table import SCORES, Whole, instances_csv, summarize, table

SETTINGS = "scoring.json"
SHAPES = "shapes"  # the programs for the drawn world, as detector and as verifier
THRESHOLD = 0.25  # of a detection's score; that of transformers for Grounding DINO
PACKAGES = {
    "detector": ["pycocotools"],
    "clip": ["torchmetrics"],
    "real": ["torchmetrics", "torch_fidelity"],
}  # by the option
LONGEST = timedelta(days=7)  # that processes which are done wait for the others


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", type=Path, help="folder that `python -m evaluation build` wrote")
    parser.add_argument("pictures", type=Path, help="folder with NAME.png for each layout")
    parser.add_argument(
        "output", type=Path, help="folder for the table and all that it comes from; what is there is kept"
    )
    parser.add_argument(
        "--detector", required=True, metavar="MODEL", help=f"Grounding DINO by hub id or folder, or {SHAPES}"
    )
    parser.add_argument(
        "--threshold", type=float, help=f"least score of a detection of Grounding DINO (default {THRESHOLD})"
    )
    parser.add_argument(
        "--verifier",
        action="append",
        required=True,
        metavar="MODEL[@URL]",
        help=f"an image-text-to-text model by hub id or folder, or behind an OpenAI-compatible server up to /v1, or {SHAPES}; repeatable",
    )
    parser.add_argument("--clip", metavar="MODEL", help="CLIP score too, by a CLIP by hub id or folder")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="FID too, to these real pictures")


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or EvaluationError with what to do about it."""
    summary = score(options)
    if summary:
        sys.stdout.write(table([summary]))
    return 0


def score(options: argparse.Namespace) -> dict[str, Any]:
    """What ``scores.json`` holds in the end; empty in all processes but the first."""
    benchmark = read_benchmark(options.benchmark)
    check(options, benchmark)
    check_pictures(benchmark, options.pictures)
    state = process_state()
    device = str(state.device)
    part = (state.process_index, state.num_processes)
    settings = _settings(options, benchmark)
    with state.main_process_first():
        keep_settings(options.output / SETTINGS, settings, "scores")
    if unjudged(benchmark, options.pictures, options.output, part):  # no model is loaded for what is known
        scorer = Scorer(
            load_detector(options, device), [load_verifier(text, device) for text in options.verifier]
        )
        score_pictures(scorer, benchmark, options.pictures, options.output, part, state.is_main_process)
    state.wait_for_everyone()
    summary = _report(options, benchmark, settings, device) if state.is_main_process else {}
    if state.num_processes > 1:
        state.destroy_process_group()
    return summary


def check(options: argparse.Namespace, benchmark: Benchmark) -> None:
    """What can be told before there are pictures. Raises ValueError for a wrong option, an unknown model or a missing package."""
    if options.detector == SHAPES and options.threshold is not None:
        raise ValueError(f"--threshold cannot be used: the detector {SHAPES} has its own.")
    if options.real is not None:
        real_pictures(options.real)
    packages = {
        name for option, names in PACKAGES.items() if getattr(options, option) is not None for name in names
    }
    missing = sorted(name for name in packages if find_spec(name) is None)
    if missing:
        raise ValueError(f"Not installed: {', '.join(missing)}. {INSTALL}")
    verifiers = [read_verifier(text) for text in options.verifier]
    check_names([name for name, _ in verifiers])
    here = [name for name, url in verifiers if not url]
    for name in dict.fromkeys((options.detector, *here, options.clip)):
        if name not in (SHAPES, None):
            check_model(name)
    if SHAPES in (options.detector, *options.verifier):
        check_world(benchmark)


def check_model(name: str) -> None:
    """Looks at the model's config alone, which is small. Raises ValueError when there is none."""
    from transformers import AutoConfig  # seconds to import

    try:
        AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} is no model that transformers can load: {error}\nGive an id on the hub, or a folder."
        ) from error


def process_state() -> Any:
    """accelerate's: which of how many processes this is, and its device."""
    import torch
    from accelerate import PartialState  # seconds to import
    from accelerate.utils import parse_flag_from_env

    # Without this, processes that were launched on a machine without GPU would not know of each other.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=LONGEST)


def load_detector(options: argparse.Namespace, device: str) -> Detector:
    if options.detector == SHAPES:
        return ShapesDetector()
    from ..judge.grounding_dino import GroundingDino

    return GroundingDino(
        options.detector, device, THRESHOLD if options.threshold is None else options.threshold
    )


def load_verifier(text: str, device: str) -> Verifier:
    if text == SHAPES:
        return ShapesVerifier()
    from ..vision_language import Endpoint, LocalModel

    name, url = read_verifier(text)
    return YesNoVerifier(Endpoint(url, name) if url else LocalModel(name, device))


def read_verifier(text: str) -> tuple[str, str]:
    """``MODEL`` or ``MODEL@URL`` -> model, by id or folder, and the URL of the server that runs it, or none."""
    name, at, url = text.partition("@")
    if at and not url.startswith(("http://", "https://")):
        raise ValueError(
            f"--verifier {text}: expected an address behind the @, as {name}@http://127.0.0.1:8000/v1."
        )
    return name, url


def _settings(options: argparse.Namespace, benchmark: Benchmark) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "benchmark": benchmark.digest,
        "detector": options.detector,
        "verifiers": [read_verifier(text)[0] for text in options.verifier],
    }
    if options.detector != SHAPES:
        settings["threshold"] = THRESHOLD if options.threshold is None else options.threshold
    if options.verifier != [SHAPES]:
        settings["question"] = PROMPT.read_text("utf-8").strip()
    return settings


def _report(
    options: argparse.Namespace, benchmark: Benchmark, settings: dict[str, Any], device: str
) -> dict[str, Any]:
    """Write all that is made of the scores."""
    from ..report.gallery import write_gallery

    scores = read_scores(benchmark, options.output)
    verifiers = settings["verifiers"]
    summary = summarize(
        options.pictures.resolve().name, settings, scores, verifiers, _whole(options, benchmark, device)
    )
    write_whole(options.output / "instances.csv", instances_csv(scores, verifiers).encode())
    write_gallery(scores, options.pictures, options.output)
    write_whole(options.output / SCORES, json_bytes(summary))
    write_whole(options.output / "table.md", table([summary]).encode())
    return summary


def _whole(options: argparse.Namespace, benchmark: Benchmark, device: str) -> Whole:
    clip = fid = real = None
    if options.clip is not None:
        clip = mean(score_captions(options.clip, device, benchmark, options.pictures, options.output))
    if options.real is not None:
        paths = real_pictures(options.real)
        made = [picture_path(options.pictures, entry) for entry in benchmark.entries]
        fid, real = frechet_inception_distance(made, paths, device=device), len(paths)
    return Whole(clip, options.clip, fid, real)
