"""Pictures of layouts: where they are stored, how they are read, and the check of their aspect ratio."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import decoded_sizes
from ifadapter_diffusers.pictures import read_picture as read_rgb

from .benchmark import Benchmark
from .files import inside

# Largest |log| of the ratio between the aspect ratios of a picture and its layout. Samplers round
# sides to multiples of 8 to 64 pixels, which changes the aspect ratio of a small picture by a few
# percent. One bound for generating and scoring: every picture that `generate` keeps can be scored,
# and vice versa.
ASPECT_TOLERANCE = 0.05

REMEDY = "Generate it again."  # of a broken picture
MAX_NAMES = 3  # missing pictures that a message lists


def picture_path(folder: Path, name: str) -> Path:
    """The file of a layout's picture; name: the layout's name in the benchmark."""
    return folder / f"{name}.png"


def aspect_ratio_matches(size: tuple[int, int], layout: Layout) -> bool:
    """Whether the layout's boxes fit a picture of this width and height, within ``ASPECT_TOLERANCE``."""
    width, height = size
    return abs(math.log(width / height * layout.height / layout.width)) <= ASPECT_TOLERANCE


def read_picture(path: Path, layout: Layout) -> Image.Image:
    """The picture in RGB.

    Raises ValueError if it cannot be decoded or its aspect ratio is not the layout's.
    """
    picture = read_rgb(path, REMEDY)
    _check_aspect_ratio(path, picture.size, layout)
    return picture


def check_pictures(benchmark: Benchmark, folder: Path) -> None:
    """Raises ValueError if the picture of a layout is missing, broken, of another shape, or a symlink
    that leaves the folder.
    """
    paths = [inside(folder, picture_path(folder, entry.name).name) for entry in benchmark.entries]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        first = ", ".join(missing[:MAX_NAMES]) + (" .." if len(missing) > MAX_NAMES else "")
        raise ValueError(
            f"{len(missing)} of {len(paths)} pictures are missing in {folder}: "
            f"{first}. Generate them with `python -m evaluation generate`, "
            "or give the folder with NAME.png for each layout."
        )
    sizes = decoded_sizes(paths, REMEDY)
    for path, size, entry in zip(paths, sizes, benchmark.entries, strict=True):
        _check_aspect_ratio(path, size, entry.layout)


def _check_aspect_ratio(path: Path, size: tuple[int, int], layout: Layout) -> None:
    if not aspect_ratio_matches(size, layout):
        raise ValueError(
            f"{path} is {size[0]} x {size[1]} pixels; its layout is {layout.width} x {layout.height}. "
            "Use pictures with the aspect ratios of their layouts."
        )
