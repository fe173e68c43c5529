"""``python -m demo``: paint a few layouts with the small models in this folder, and score them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ifadapter_diffusers.quiet import hide_loading_bars  # before diffusers

# isort: split
from PIL import Image
from tqdm.auto import tqdm

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.contact_sheet import comparison
from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS
from ifadapter_diffusers.painter import METHODS, Painter, Pixels
from shapes.descriptions import read_scene
from shapes.results.picture_score import MEASURES, InstanceScore, score_instances

MODELS = Path(__file__).parent
COLUMNS = ("caption", "eot", "full")  # keys of METHODS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="Place instances in small pictures, on the CPU."
    )
    parser.add_argument(
        "--layout", type=Path, nargs="+", help="layout files (JSON); default: all of demo/layouts"
    )
    parser.add_argument(
        "--models", type=Path, default=MODELS, help="folder written by python -m training export"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampling noise")
    parser.add_argument("--steps", type=int, default=STEPS, help="sampling steps")
    parser.add_argument("--guidance", type=float, default=GUIDANCE, help="scale of classifier-free guidance")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for the pictures")
    options = parser.parse_args()
    start = time.monotonic()
    hide_loading_bars()
    try:
        side = picture_side(options.models)
        paths = options.layout or sorted(MODELS.glob("layouts/*.json"))
        layouts = [read_layout(path, side) for path in paths]
        painter = Painter(options.models, options.seed, options.steps, options.guidance)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    options.output.mkdir(parents=True, exist_ok=True)

    # Paint and score all layouts with each method, from the same noise.
    columns: dict[str, Pixels] = {}
    lines = [table_line("", [measure.replace("_", " ") for measure in MEASURES])]
    for key in tqdm(COLUMNS, desc="sampling", unit="method"):
        title = METHODS[key].title
        columns[title] = pictures = painter.paint(METHODS[key], layouts)
        lines.append(score_line(title, judge_all(pictures, layouts)))
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(options.output / f"{key}_{number}.png")

    sheet = options.output / "sheet.png"
    comparison(layouts, columns).save(sheet)
    sys.stdout.write("\n".join(["", *lines, "", ""]))
    sys.stdout.write(f"{sheet}: layout | {' | '.join(columns)} ({time.monotonic() - start:.0f} s)\n")
    sys.stdout.write(
        "With SDXL: put this folder into ComfyUI/custom_nodes and open "
        "workflows/place_things_with_boxes.json (see README.md, Install).\n"
    )


def picture_side(models: Path) -> int:
    """The side in pixels of the pictures that models were trained on.

    Raises ValueError that names the folder if they are not models of the drawn world.
    """
    needed = [models / "unet/config.json", models / "vae/config.json", models / "ifadapter.safetensors"]
    if missing := [str(path) for path in needed if not path.is_file()]:
        raise ValueError(
            f"There is no {missing[0]}. Give --models a folder that python -m training export has written."
        )
    unet, vae = (json.loads(path.read_text("utf-8")) for path in needed[:2])
    return unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1)


def read_layout(path: Path, side: int) -> Layout:
    """Read a layout file in any supported JSON format. Raises ValueError that names the file.

    side: of the canvas, in pixels.
    """
    try:
        return from_json(path.read_text("utf-8"), side, side)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def judge_all(pictures: Pixels, layouts: Sequence[Layout]) -> list[InstanceScore]:
    """The scores of all instances of pictures (len(layouts), H, W, 3).

    Instances whose description is not of the drawn world are skipped, because the judge knows its
    figures only.
    """
    pairs = zip(pictures, layouts, strict=True)
    return [score for picture, layout in pairs for score in score_instances(picture, read_scene(layout))]


def score_line(title: str, scores: Sequence[InstanceScore]) -> str:
    """A method's line of the table: for each measure, the instances that have it, of all judged ones."""
    if not scores:
        return table_line(title, ["-"] * len(MEASURES))
    counts = [sum(score.has(measure) for score in scores) for measure in MEASURES]
    return table_line(title, [f"{count}/{len(scores)}" for count in counts])


def table_line(title: str, cells: Sequence[str]) -> str:
    return f"{title:34}" + "".join(f"{cell:>16}" for cell in cells)


if __name__ == "__main__":
    main()
