"""``python -m evaluation describe``: a layout beside each picture of a folder, for training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..build.boxes import FoundBoxes, GivenBoxes, Source
from .options import at_least

NOTATIONS = ("bbox_2d", "box_2d", "fractions")
ANSWER_TOKENS = 2048  # ten boxes with long descriptions take about half
TIMEOUT_S = 600.0  # of a request; a busy server lets it wait
MAX_TILES = 24  # pictures on a sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of pictures; its subfolders are searched too")
    parser.add_argument("--model", required=True, help="name of the model on the servers")
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        action="append",
        required=True,
        help="OpenAI-compatible server that runs the model, up to /v1; repeat it for several servers",
    )
    parser.add_argument(
        "--requests", type=int, default=32, help="concurrent requests to each server (default 32)"
    )
    parser.add_argument(
        "--notation",
        choices=NOTATIONS,
        default="bbox_2d",
        help="how the model writes boxes: bbox_2d (Qwen3-VL), box_2d (Gemma, Gemini), fractions (others)",
    )
    parser.add_argument(
        "--crops", action="store_true", help="describe each found box from its crop: one more request a box"
    )
    parser.add_argument(
        "--annotations", type=Path, help="COCO's instances_*.json with the boxes, which are then not found"
    )
    parser.add_argument("--count", type=int, help="describe only the first pictures, for a trial")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw the first layouts into a picture")


def run(options: argparse.Namespace) -> int:
    """Raises ValueError, OSError or EvaluationError with a message for the user."""
    at_least(options, 1, "requests", "count")
    if options.annotations and options.crops:
        raise ValueError("--crops cannot be used with --annotations, whose boxes are always described so.")
    if options.sheet and options.sheet.resolve().is_relative_to(options.folder.resolve()):
        raise ValueError(f"--sheet is in {options.folder}. Choose a file outside of the pictures' folder.")
    if options.sheet and options.sheet.suffix.lower() != ".png":  # before the pictures are described
        raise ValueError(f"--sheet is {options.sheet}; expected a .png file.")

    from ..build.describer import Describer
    from ..build.layout_sheet import write_sheet
    from ..endpoints import Endpoints
    from ..vision_language import Endpoint

    servers = [
        Endpoint(url, options.model, TIMEOUT_S, tokens=ANSWER_TOKENS, jpeg=True) for url in options.endpoint
    ]
    requests = options.requests * len(servers)
    describer = Describer(options.folder, _source(options), Endpoints(servers), requests)
    sys.stdout.write(describer.run(options.count))
    if options.sheet:
        write_sheet(options.sheet, describer.described(options.count)[:MAX_TILES])
    return 0


def _source(options: argparse.Namespace) -> Source:
    if options.annotations is None:
        return FoundBoxes(options.notation, options.crops)

    from ..build.annotations import pictures_of
    from ..build.coco import read_annotations
    from ..files import digest_of

    pictures = pictures_of(read_annotations(options.annotations))
    by_name = {Path(picture.file_name).as_posix(): picture for picture in pictures}
    return GivenBoxes(by_name, digest_of(options.annotations))
