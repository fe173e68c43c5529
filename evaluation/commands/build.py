"""``python -m evaluation build``: a benchmark from COCO, or from the drawn world."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..build.settings import BuildSettings, CocoSettings, DrawnWorldSettings
from .options import at_least, given, refuse

COCO_ONLY = ("annotations", "images", "model", "endpoint", "requests", "device", "size", "seed")
DEFAULT_REQUESTS = 8  # to each endpoint at the same time
DEFAULT_COUNT = 1000  # the paper's
DEFAULT_SIZE = 1024  # pixels
SIDE_UNIT = 64  # pixels; the latents of every base model can then be halved without remainder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An option of COCO that was not given is None, so that a misplaced one can be refused."""
    parser.add_argument("output", type=Path, help="folder for the benchmark; existing files are kept")
    parser.add_argument(
        "--count",
        type=int,
        default=DEFAULT_COUNT,
        help=f"number of layouts (default {DEFAULT_COUNT})",
    )
    coco = parser.add_argument_group("from COCO")
    coco.add_argument("--annotations", type=Path, help="COCO's instances_*.json")
    coco.add_argument("--images", type=Path, help="folder of COCO's pictures")
    coco.add_argument(
        "--model", help="image-text-to-text model that describes the pictures, by hub id or folder"
    )
    coco.add_argument(
        "--endpoint",
        metavar="URL",
        action="append",
        help="OpenAI-compatible server that runs the model, up to /v1; repeat it for several servers",
    )
    coco.add_argument(
        "--requests", type=int, help=f"concurrent requests to each endpoint (default {DEFAULT_REQUESTS})"
    )
    coco.add_argument("--device", help="of a model without endpoint, for example cuda (default cpu)")
    coco.add_argument(
        "--size",
        type=int,
        help=f"side of the square canvas in pixels (default {DEFAULT_SIZE}; the paper also uses 768)",
    )
    coco.add_argument("--seed", type=int, help="seed for the choice of pictures (default 0)")
    drawn = parser.add_argument_group("from the drawn world")
    drawn.add_argument("--world", help="training config that defines the world: shapes")


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or AnswerError with a message for the user."""
    settings = settings_of(options)
    if isinstance(settings.source, DrawnWorldSettings):
        _build_drawn(settings, settings.source)
    else:
        _build_coco(settings, settings.source)
    return 0


def settings_of(options: argparse.Namespace) -> BuildSettings:
    """Raises ValueError for missing, contradictory or invalid options."""
    at_least(options, 1, "count", "requests")
    source = _coco(options) if options.world is None else _drawn_world(options)
    return BuildSettings(options.output, options.count, source)


def _coco(options: argparse.Namespace) -> CocoSettings:
    missing = [f"--{name}" for name in ("annotations", "images", "model") if getattr(options, name) is None]
    if missing:
        raise ValueError(
            f"A benchmark from COCO needs {', '.join(missing)}; one from the drawn world needs --world."
        )
    endpoints = tuple(filter(None, options.endpoint or ()))
    if endpoints:
        refuse(options, ["device"], "the server of the endpoint runs the model")
    else:
        refuse(options, ["requests"], "a model without --endpoint answers one question at a time")
    size, requests = given(options.size, DEFAULT_SIZE), given(options.requests, DEFAULT_REQUESTS)
    if size < SIDE_UNIT or size % SIDE_UNIT:
        raise ValueError(f"--size is {size}; expected a multiple of {SIDE_UNIT}.")
    return CocoSettings(
        annotations=options.annotations,
        images=options.images,
        model=options.model,
        endpoints=endpoints,
        requests=requests,
        device=given(options.device, "cpu"),
        size=size,
        seed=given(options.seed, 0),
    )


def _drawn_world(options: argparse.Namespace) -> DrawnWorldSettings:
    refuse(options, COCO_ONLY, "the layouts are of the drawn world (--world)")
    return DrawnWorldSettings(options.world)


def _build_coco(settings: BuildSettings, coco: CocoSettings) -> None:
    from dataclasses import asdict

    from ..build.builder import CocoBuilder
    from ..build.coco import Selection, choose, read_annotations
    from ..endpoints import Endpoints
    from ..files import digest_of
    from ..vision_language import Endpoint, LocalModel, VisionLanguage

    selection = Selection()
    drafts = choose(read_annotations(coco.annotations), selection, settings.count, coco.seed)
    source = {
        "kind": "COCO",
        "annotations": digest_of(coco.annotations),
        "selection": asdict(selection),
        "seed": coco.seed,
    }
    model: VisionLanguage
    if coco.endpoints:
        model = Endpoints([Endpoint(url, coco.model) for url in coco.endpoints])
        requests = coco.requests * len(coco.endpoints)
    else:
        model = LocalModel(coco.model, coco.device)
        requests = 1  # a local model answers one question at a time
    CocoBuilder(settings.output, coco.images, coco.size, model, source, requests).build(drafts)


def _build_drawn(settings: BuildSettings, drawn: DrawnWorldSettings) -> None:
    from shapes.models.config import load_shapes_config

    from ..build.builder import build_drawn

    build_drawn(settings.output, load_shapes_config(drawn.config).shapes.world, settings.count)
