"""``python -m shapes.detail``: what a detail pass changes in the small figures of the demo's pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

import ifadapter_diffusers.quiet  # noqa: F401  # before diffusers

# isort: split
from ifadapter_diffusers.painter import METHODS, Painter

from ..models.config import load_shapes_config
from ..sampler import HELD_OUT, World, sample_scene
from .passes import DetailPass, redraw_small_figures
from .scores import MEASURES, compare, small_figures, table

CHUNK = 32  # layouts painted together
SMALLER = (20 / 128, 40 / 128)  # sides of figures, all smaller than those of the models' training
OUTPUT = Path("docs/results/detail_pass.md")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m shapes.detail", description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="folder of the models")
    parser.add_argument("--layouts", type=int, default=100, help="layouts of each set")
    parser.add_argument(
        "--longest", type=int, default=52, help="longer side in pixels of the largest figures sampled again"
    )
    parser.add_argument("--denoise", type=float, default=0.5)
    parser.add_argument("--context", type=float, default=0.15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    parser.add_argument("--device", default="cpu", help="where pictures are painted, for example cuda")
    options = parser.parse_args(given)
    if not 0 < options.denoise <= 1:
        parser.error(f"--denoise is {options.denoise}; expected a number above 0 and at most 1.")
    return options


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    torch.manual_seed(options.seed)
    settings = DetailPass(options.longest, options.context, denoise=options.denoise)
    world = load_shapes_config("shapes").shapes.world
    worlds = {"held-out": world, "smaller figures": replace(world, sides=SMALLER)}
    painter = Painter(options.demo, options.seed, options.steps, device=options.device)
    changes = {}
    for title, drawn_world in worlds.items():
        before, after = [], []
        for first in range(0, options.layouts, CHUNK):
            indices = HELD_OUT[first : min(first + CHUNK, options.layouts)]
            old, new = score_chunk(painter, drawn_world, indices, settings)
            before += old
            after += new
            sys.stderr.write(f"{title}: {first + len(indices)} of {options.layouts} layouts\n")
        changes[title] = {measure: compare(before, after, measure) for measure in MEASURES}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(options, table(changes)), "utf-8")
    sys.stdout.write(table(changes) + "\n")
    return 0


def score_chunk(painter: Painter, world: World, indices: range, settings: DetailPass) -> tuple[list, list]:
    """Scores of the small figures of some layouts before and after the pass."""
    scenes = [sample_scene(world, index) for index in indices]
    pictures = painter.paint(METHODS["full"], [scene.layout for scene in scenes], indices[0])
    redrawn = redraw_small_figures(painter, pictures, scenes, settings)
    return small_figures(pictures, scenes, settings), small_figures(redrawn, scenes, settings)


def page(options: argparse.Namespace, scores: str) -> str:
    return f"""# A detail pass on small figures

Written by `python -m shapes.detail --layouts {options.layouts} --longest {options.longest} --denoise \
{options.denoise} --context {options.context} --steps {options.steps} --seed {options.seed}`.

The demo's models draw {options.layouts} layouts of each set at 128 x 128 pixels. Then each figure whose
longer side has at most {options.longest} pixels is cut out as *IFAdapter Crops* does, enlarged to about
128 x 128 pixels, sampled again with the adapter, with its own description as the prompt and a denoise of
{options.denoise}, and pasted back into its box as *IFAdapter Paste* does. The judge and the measures are
those of [the results](README.md).

"Smaller figures" are of the same world with boxes of 20 to 40 pixels. The models were trained with boxes of
44 to 88 pixels, so that only the detail pass shows them a figure at a size that they know. "Gained" and
"lost" are the numbers of figures that have the measure only after, and only before.

{scores}
"""


if __name__ == "__main__":
    raise SystemExit(main())
