"""``python -m evaluation build``: a benchmark out of COCO, or of the drawn world."""

from __future__ import annotations

import argparse
from pathlib import Path

COCO_ONLY = ("annotations", "images", "model", "endpoint")
COUNT = 1000  # as many as the paper has
SIZE = 1024
SIDE_UNIT = 64  # pixels, for which every base model's latents are halved evenly


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, help="folder for the benchmark; what is there already is kept")
    parser.add_argument("--count", type=int, default=COUNT, help=f"of layouts (default {COUNT})")
    coco = parser.add_argument_group("out of COCO")
    coco.add_argument("--annotations", type=Path, help="COCO's instances_*.json")
    coco.add_argument("--images", type=Path, help="folder of its pictures")
    coco.add_argument(
        "--model", help="what describes the pictures: an image-text-to-text model, by hub id or folder"
    )
    coco.add_argument(
        "--endpoint", metavar="URL", help="an OpenAI-compatible server that runs the model, up to /v1"
    )
    coco.add_argument("--requests", type=int, default=8, help="to the endpoint at once (default 8)")
    coco.add_argument("--device", default="cpu", help="for a model without endpoint, as cuda")
    coco.add_argument(
        "--size",
        type=int,
        default=SIZE,
        help=f"pixels along each side of the canvas (default {SIZE}; the paper's other: 768)",
    )
    coco.add_argument("--seed", type=int, default=0, help="of the choice of pictures")
    drawn = parser.add_argument_group("out of the drawn world")
    drawn.add_argument("--world", help="the config that has it, as shapes")


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or AnswerError with what to do about it."""
    if options.count < 1:
        raise ValueError(f"--count is {options.count}; expected at least 1.")
    if options.world is not None:
        return _drawn(options)
    from dataclasses import asdict

    from ..build.builder import CocoBuilder
    from ..build.coco import Selection, choose, read_annotations
    from ..files import digest_of
    from ..vision_language import Endpoint, LocalModel

    missing = [f"--{name}" for name in ("annotations", "images", "model") if getattr(options, name) is None]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} must be given for a benchmark out of COCO, or --world for one out of the drawn world."
        )
    if options.size < SIDE_UNIT or options.size % SIDE_UNIT:
        raise ValueError(f"--size is {options.size}; expected a multiple of {SIDE_UNIT}.")
    selection = Selection()
    drafts = choose(read_annotations(options.annotations), selection, options.count, options.seed)
    source = {
        "kind": "COCO",
        "annotations": digest_of(options.annotations),
        "selection": asdict(selection),
        "seed": options.seed,
    }
    model = (
        Endpoint(options.endpoint, options.model)
        if options.endpoint
        else LocalModel(options.model, options.device)
    )
    CocoBuilder(
        options.output,
        options.images,
        options.size,
        model,
        source,
        options.requests if options.endpoint else 1,
    ).build(drafts)
    return 0


def _drawn(options: argparse.Namespace) -> int:
    from training.config import load_config

    from ..build.builder import build_drawn

    given = [f"--{name}" for name in COCO_ONLY if getattr(options, name) is not None]
    if given:
        raise ValueError(f"{', '.join(given)} cannot be used with --world.")
    shapes = load_config(options.world).shapes
    if shapes is None:
        raise ValueError(f"The config {options.world} has no drawn world; shapes has one.")
    build_drawn(options.output, shapes.world, options.count)
    return 0
