"""``python -m shapes.picture_folder``: draw scenes into a folder that the trainer reads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

import ifadapter_diffusers.quiet  # noqa: F401  # before diffusers
from ifadapter_core.layout_formats import to_json

from .drawing import draw
from .models.config import load_shapes_config
from .sampler import TRAINING, World, sample_scene


def draw_folder(world: World, folder: Path, count: int) -> int:
    """Draw the first training scenes as ``NNNNNN.png``, each with its layout as ``NNNNNN.json``.

    A picture that is there already with its layout is kept. Returns the number of new ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = 0
    for number in tqdm(range(count), "drawing", unit="", dynamic_ncols=True, disable=None):
        layout = folder / f"{number:06d}.json"
        if layout.exists():
            continue
        scene = sample_scene(world, TRAINING[number])
        Image.fromarray(draw(scene)).save(layout.with_suffix(".png"))
        unfinished = layout.with_suffix(".new")
        unfinished.write_text(to_json(scene.layout), "utf-8")
        unfinished.replace(layout)
        new += 1
    return new


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m shapes.picture_folder",
        description="Draw scenes of the demo's world into a folder, with the layouts that the trainer reads.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000, help="pictures (default: %(default)s)")
    parser.add_argument("--config", default="shapes", help="config file with the drawn world")
    options = parser.parse_args(given)
    if not 1 <= options.count <= len(TRAINING):
        parser.error(f"--count is {options.count}; expected 1 to {len(TRAINING)}.")
    try:
        new = draw_folder(load_shapes_config(options.config).shapes.world, options.folder, options.count)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{options.folder}: {options.count} pictures with layouts, {new} of them new.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
