"""Pictures of layouts: where they are stored, how they are read, and the check of their aspect ratio."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image

from ifadapter_core.layout import Layout

from .benchmark import Benchmark

# Largest |log| of the ratio between the aspect ratios of a picture and its layout. Samplers round
# sides to multiples of 8 to 64 pixels, which changes the aspect ratio of a small picture by a few
# percent. One bound for generating and scoring: every picture that `generate` keeps can be scored,
# and vice versa.
ASPECT_TOLERANCE = 0.05

MAX_NAMES = 3  # missing pictures that a message lists


def picture_path(folder: Path, name: str) -> Path:
    """The file of a layout's picture; name: the layout's name in the benchmark."""
    return folder / f"{name}.png"


def aspect_ratio_matches(picture: Image.Image, layout: Layout) -> bool:
    """Whether the layout's boxes fit the picture, within ``ASPECT_TOLERANCE``."""
    return abs(math.log(picture.width / picture.height * layout.height / layout.width)) <= ASPECT_TOLERANCE


def read_picture(path: Path, layout: Layout) -> Image.Image:
    """The picture in RGB.

    Raises ValueError if it cannot be decoded or its aspect ratio is not the layout's.
    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read ({error}). Generate it again.") from error
    if not aspect_ratio_matches(picture, layout):
        raise ValueError(
            f"{path} is {picture.width} x {picture.height} pixels; "
            f"its layout is {layout.width} x {layout.height}. "
            "Use pictures with the aspect ratios of their layouts."
        )
    return picture


def check_pictures(benchmark: Benchmark, folder: Path) -> None:
    """Raises ValueError if the folder lacks the picture of a layout."""
    missing = [
        f"{entry.name}.png" for entry in benchmark.entries if not picture_path(folder, entry.name).is_file()
    ]
    if missing:
        first = ", ".join(missing[:MAX_NAMES]) + (" .." if len(missing) > MAX_NAMES else "")
        raise ValueError(
            f"{len(missing)} of {len(benchmark.entries)} pictures are missing in {folder}: "
            f"{first}. Generate them with `python -m evaluation generate`, "
            "or give the folder with NAME.png for each layout."
        )
