"""Scores a folder of pictures: judges them in one or many processes, then writes all reports."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ifadapter_core.checking.matching import Detection

from ..benchmark import Benchmark
from ..errors import INSTALL
from ..files import json_bytes, pin_settings, write_atomic
from ..judge.caption_scores import score_captions
from ..judge.detector import Detector
from ..judge.drawn_world import ShapesDetector, ShapesVerifier, check_world
from ..judge.fid import check_real_pictures, frechet_inception_distance, real_pictures
from ..judge.picture_score import InstanceScore, PictureScore
from ..judge.scorer import Scorer, check_names, read_scores, score_pictures, unjudged
from ..judge.settings import DEFAULT_THRESHOLD, SHAPES, ScoreSettings, VerifierSettings
from ..judge.verifier import Verifier
from ..judge.yes_no import YesNoVerifier
from ..pictures import check_pictures, picture_path
from .metrics import mean
from .score_table import SCORES, PictureSetScores, instances_csv, summarize, table

SETTINGS_FILE = "scoring.json"
FEATURES = "fid"  # folder of the FID's cached features, in the output folder
PACKAGES = {  # packages that each metric needs, by the metric's name
    "ap": ["pycocotools"],
    "clip": ["torchmetrics"],
    "fid": ["torchmetrics", "torch_fidelity"],
}
MAX_WAIT = timedelta(days=7)  # of processes that have finished their part


def score_folder(
    benchmark: Benchmark,
    pictures: Path,
    output: Path,
    settings: ScoreSettings,
    features: Path | None = None,
) -> dict[str, Any]:
    """Score the pictures of a benchmark and write the reports to ``output``.

    features: cache of the FID's features, which several runs may share; default: a folder in ``output``.
    Returns the content of ``scores.json`` in the main process, an empty dict in all others.
    Raises ValueError, OSError or EvaluationError with a message for the user.
    """
    # Everything that can fail early fails before a model is loaded.
    check_settings(settings, benchmark)
    check_pictures(benchmark, pictures)
    if settings.real is not None:
        check_real_pictures(settings.real)
    state = process_state()
    device = str(state.device)
    part = (state.process_index, state.num_processes)
    recorded = settings.recorded(benchmark)
    with state.main_process_first():
        pin_settings(output / SETTINGS_FILE, recorded, "scores")

    # Judge this process's share; load no model if all of it is cached.
    if unjudged(benchmark, pictures, output, part):
        verifiers = [load_verifier(verifier, device) for verifier in settings.verifiers]
        scorer = Scorer(load_detector(settings, device), verifiers)
        score_pictures(scorer, benchmark, pictures, output, part, state.is_main_process)

    # The main process reports on all pictures.
    state.wait_for_everyone()
    summary = (
        write_reports(settings, recorded, benchmark, pictures, output, device, features or output / FEATURES)
        if state.is_main_process
        else {}
    )
    if state.num_processes > 1:
        state.destroy_process_group()
    return summary


def check_settings(settings: ScoreSettings, benchmark: Benchmark) -> None:
    """The checks that need no pictures.

    Raises ValueError for an unknown model, a missing package or a wrong folder.
    """
    if settings.real is not None:
        real_pictures(settings.real)
    metrics = ["ap"] + ["clip"] * (settings.clip is not None) + ["fid"] * (settings.real is not None)
    packages = {name for metric in metrics for name in PACKAGES[metric]}
    missing = sorted(name for name in packages if find_spec(name) is None)
    if missing:
        raise ValueError(f"Not installed: {', '.join(missing)}. {INSTALL}")
    check_names(settings.verifier_names)
    local = [verifier.name for verifier in settings.verifiers if not verifier.url]
    for name in dict.fromkeys((settings.detector, *local, settings.clip)):
        if name not in (SHAPES, None):
            check_model(str(name))
    if settings.detector == SHAPES or any(verifier.is_program for verifier in settings.verifiers):
        check_world(benchmark)


def sample_scores(settings: ScoreSettings, benchmark: Benchmark) -> dict[str, Any]:
    """``scores.json`` as these settings will write it, with the scores of one made-up instance.

    For checks of its keys before there are pictures.
    """
    box = (0.0, 0.0, 1.0, 1.0)
    verdicts: dict[str, bool | None] = dict.fromkeys(settings.verifier_names, True)
    instance = InstanceScore(box, "", 0, 0, 1.0, verdicts, {})
    picture = PictureScore("", "", (1, 1), (Detection(box, 1.0, 0),), (instance,))
    whole_set = PictureSetScores(
        clip=None if settings.clip is None else mean([0.0]),
        clip_model=settings.clip,
        fid=None if settings.real is None else 0.0,
        real_count=None if settings.real is None else 0,
    )
    return summarize("", settings.recorded(benchmark), [picture], settings.verifier_names, whole_set)


def check_model(name: str) -> None:
    """Load only the model's small config. Raises ValueError if there is none."""
    from transformers import AutoConfig  # slow import

    try:
        AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"transformers cannot load the model {name}: {error}\nGive a hub id or a folder."
        ) from error


def process_state() -> Any:
    """accelerate's PartialState: index of this process, number of processes, device."""
    import torch
    from accelerate import PartialState  # slow import
    from accelerate.utils import parse_flag_from_env

    # Without an explicit CPU flag, launched processes on a machine without GPU do not form a group.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu, timeout=MAX_WAIT)


def load_detector(settings: ScoreSettings, device: str) -> Detector:
    if settings.detector == SHAPES:
        return ShapesDetector()
    from ..judge.grounding_dino import GroundingDino

    threshold = DEFAULT_THRESHOLD if settings.threshold is None else settings.threshold
    return GroundingDino(settings.detector, device, threshold)


def load_verifier(settings: VerifierSettings, device: str) -> Verifier:
    if settings.is_program:
        return ShapesVerifier()
    from ..vision_language import Endpoint, LocalModel

    model = Endpoint(settings.url, settings.name) if settings.url else LocalModel(settings.name, device)
    return YesNoVerifier(model)


def write_reports(
    settings: ScoreSettings,
    recorded: dict[str, Any],
    benchmark: Benchmark,
    pictures: Path,
    output: Path,
    device: str,
    features: Path,
) -> dict[str, Any]:
    """Compute all metrics of the cached scores, and write the tables and galleries.

    recorded: the content of ``SETTINGS_FILE``. features: see ``score_folder``.
    Returns the content of ``scores.json``.
    """
    from .gallery import write_gallery

    scores = read_scores(benchmark, output)
    names = settings.verifier_names
    whole_set = _picture_set_scores(settings, benchmark, pictures, output, device, features)
    summary = summarize(pictures.resolve().name, recorded, scores, names, whole_set)
    write_atomic(output / "instances.csv", instances_csv(scores, names).encode())
    write_gallery(scores, pictures, output)
    write_atomic(output / SCORES, json_bytes(summary))
    write_atomic(output / "table.md", table([summary]).encode())
    return summary


def _picture_set_scores(
    settings: ScoreSettings,
    benchmark: Benchmark,
    pictures: Path,
    output: Path,
    device: str,
    features: Path,
) -> PictureSetScores:
    clip = fid = real_count = None
    if settings.clip is not None:
        clip = mean(score_captions(settings.clip, device, benchmark, pictures, output))
    if settings.real is not None:
        real = real_pictures(settings.real)
        generated = [picture_path(pictures, entry.name) for entry in benchmark.entries]
        fid = frechet_inception_distance(generated, real, features, device=device)
        real_count = len(real)
    return PictureSetScores(clip, settings.clip, fid, real_count)
