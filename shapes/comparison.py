"""``python -m shapes.comparison``: score the demo's models on held-out layouts."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from ifadapter_diffusers.contact_sheet import comparison
from ifadapter_diffusers.painter import Painter, Pixels
from ifadapter_diffusers.sampling import GUIDANCE, STEPS

from .drawing import draw
from .methods import METHODS
from .models.config import load_shapes_config
from .recognition.average_precision import ap50
from .recognition.detection import detect
from .recognition.fitting import Fit
from .recognition.frechet import features, frechet_distance
from .recognition.verifier import ATTRIBUTES, AttributeVerdict, verify
from .sampler import HELD_OUT, sample_scene
from .scene import Scene

REAL = "real"  # not a method: drawings of the scenes, as an upper bound
TITLES = {REAL: "real drawings", **{key: method.title for key, method in METHODS.items()}}
CHUNK = 32  # layouts sampled together
REFERENCE = HELD_OUT[5000:]  # drawings of the Frechet reference set, disjoint from the layouts
RESAMPLES = 2000  # of the bootstrap
HEAVY = 8  # World.crowding of the layouts with heavy overlap
SHEET_ROWS = 8  # layouts on a contact sheet


@dataclass(frozen=True)
class Judged:
    """The scores of one picture.

    verdicts: one per instance, from back to front.
    detections: figures found without the layout.
    features: (F,), of the Frechet distance.
    """

    verdicts: list[AttributeVerdict]
    detections: list[Fit]
    features: NDArray[np.float64]


def judge_picture(picture: Pixels, scene: Scene) -> Judged:
    """Score a picture (H, W, 3) against the scene that it should show."""
    return Judged(verify(picture, scene.figures), detect(picture), features(picture))


def rate(judged: Sequence[Judged], name: str) -> float:
    """Fraction of all instances whose verdict has the property ``name``."""
    return float(np.mean([getattr(verdict, name) for one in judged for verdict in one.verdicts]))


def interval(judged: Sequence[Judged]) -> tuple[float, float]:
    """95 % bootstrap interval of the success rate, resampling whole pictures with a fixed seed."""
    successes = np.array([sum(verdict.success for verdict in one.verdicts) for one in judged])
    totals = np.array([len(one.verdicts) for one in judged])
    picks = np.random.Generator(np.random.PCG64(0)).integers(len(judged), size=(RESAMPLES, len(judged)))
    low, high = np.percentile(successes[picks].sum(1) / totals[picks].sum(1), (2.5, 97.5))
    return float(low), float(high)


def summarize(
    judged: Sequence[Judged], scenes: Sequence[Scene], reference: NDArray[np.float64]
) -> dict[str, Any]:
    """The scores of one method. reference: features (pictures, F) of real drawings."""
    by_count: dict[int, list[Judged]] = {}
    for one, scene in zip(judged, scenes, strict=True):
        by_count.setdefault(len(scene.figures), []).append(one)
    return {
        "success": rate(judged, "success"),
        "interval": interval(judged),
        **{name: rate(judged, name) for name in ATTRIBUTES},
        "ap50": ap50([one.detections for one in judged], [scene.figures for scene in scenes]),
        "frechet": frechet_distance(np.stack([one.features for one in judged]), reference),
        "by_instances": {str(count): rate(group, "success") for count, group in sorted(by_count.items())},
        "pictures": len(judged),
        "instances": sum(len(one.verdicts) for one in judged),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The scores of each method as a Markdown table: percent, except for the distance."""
    head = ("", "success", "95 %", "found", "shape", "colour", "pattern", "pattern colour", "AP50", "Frechet")
    lines = []
    for name, row in rows.items():
        low, high = row["interval"]
        success, bounds = f"**{100 * row['success']:.1f}**", f"{100 * low:.1f} .. {100 * high:.1f}"
        shares = (f"{100 * row[key]:.1f}" for key in (*ATTRIBUTES, "ap50"))
        lines.append((TITLES[name], success, bounds, *shares, f"{row['frechet']:.2f}"))
    return _markdown(head, lines)


def count_table(rows: dict[str, dict[str, Any]]) -> str:
    """The success rate by number of instances, as a Markdown table in percent."""
    counts = list(next(iter(rows.values()))["by_instances"])
    lines = [
        (TITLES[name], *(f"{100 * row['by_instances'][count]:.1f}" for count in counts))
        for name, row in rows.items()
    ]
    return _markdown(("instances", *counts), lines)


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def page(report: dict[str, Any]) -> str:
    """The whole report as a Markdown page."""
    held_out, heavy = report["sets"]["held_out"], report["sets"]["heavy"]
    large, small = (next(iter(rows.values())) for rows in (held_out, heavy))  # any row has the counts
    return f"""# Results of the demo models

Written by `make results` for the models of [demo/](../../demo/README.md):
weights {report["weights"]}, {report["steps"]} DDIM steps, guidance {report["guidance"]},
seed {report["seed"]}.

All methods start from the same noise. All but one get the same prompts, which name every detail
and no position. "Caption with rough places" adds positions in words ("small, upper left"; five
rows, five columns), as the captions of the base model's training did.

- **Success**: the instance is found at its box (IoU at least 0.5), and its shape, colour, pattern
  and pattern colour are right. The interval is a 95 % bootstrap over pictures.
- **The judge** is a program that compares the picture at each box with all figures of the drawn
  world. It was not tuned on generated pictures. The row "real drawings" is its score on drawings.
- **AP50**: average precision of a detector that does not know the layout.
- **Frechet**: distance of fixed features to {large["pictures"]} other real drawings. Compare it within a
  table only.
- "Appearance tokens only" and "EoT token only": the same adapter with some tokens switched off,
  not adapters trained without them.
- "Regional attention": the cells of each box attend to its description through the base model's
  own cross attention.

## {large["pictures"]} held-out layouts ({large["instances"]} instances)

{table(held_out)}

Success by number of instances:

{count_table(held_out)}

![The first layouts with each method](held_out.png)

## {small["pictures"]} held-out layouts with heavy overlap ({small["instances"]} instances)

{table(heavy)}

Success by number of instances:

{count_table(heavy)}

![Layouts with heavy overlap, with each method](heavy.png)
"""


class Results:
    """Pictures and scores of one set of layouts. Painted chunks are cached to resume a run."""

    def __init__(self, painter: Painter, folder: Path, scenes: Sequence[Scene], judges: Executor) -> None:
        self.painter = painter
        self.judges = judges
        self.folder = folder
        self.scenes = scenes
        folder.mkdir(parents=True, exist_ok=True)

    def pictures(self, method: str) -> Pixels:
        """The pictures of a method, painted where not cached: (layouts, H, W, 3)."""
        chunks = []
        starts = range(0, len(self.scenes), CHUNK)
        for first in tqdm(starts, desc=TITLES[method], unit="chunk", dynamic_ncols=True):
            path = self.folder / f"{method}_{first:05d}.npy"
            if not path.exists():
                # Atomic write: temporary file, then rename.
                with path.with_suffix(".new").open("wb") as file:
                    np.save(file, self._paint(method, first))
                os.replace(path.with_suffix(".new"), path)
            chunks.append(np.load(path))
        return np.concatenate(chunks)

    def _paint(self, method: str, first: int) -> Pixels:
        chunk = self.scenes[first : first + CHUNK]
        if method == REAL:
            return np.stack([draw(scene) for scene in chunk])
        return self.painter.paint(METHODS[method], [scene.layout for scene in chunk], first)

    def rows(self, methods: Sequence[str], reference: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
        """The scores of each method: see ``summarize``."""
        rows = {}
        for method in methods:
            judging = self.judges.map(judge_picture, self.pictures(method), self.scenes, chunksize=8)
            bar = tqdm(judging, desc="judging", total=len(self.scenes), unit="picture", dynamic_ncols=True)
            rows[method] = summarize(list(bar), self.scenes, reference)
        return rows

    def sheet(self, methods: Sequence[str], count: int) -> Image.Image:
        """The first layouts beside the pictures of each method."""
        return comparison(
            [scene.layout for scene in self.scenes[:count]],
            {TITLES[method]: self.pictures(method)[:count] for method in methods},
        )


def weights_name(demo: Path) -> str:
    """Content hash of all weights in a folder."""
    digest = hashlib.sha256()
    for path in sorted(demo.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m shapes.comparison", description="Score the demo's models into docs/results."
    )
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="folder of the models")
    parser.add_argument("--config", default="shapes", help="config file with the drawn world")
    parser.add_argument("--output", type=Path, default=Path("docs/results"), help="report folder")
    parser.add_argument("--work", type=Path, default=Path("runs/results"), help="cache folder")
    parser.add_argument("--layouts", type=int, default=500)
    parser.add_argument("--heavy-layouts", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=TITLES, default=list(TITLES))
    options = parser.parse_args()
    try:
        world = load_shapes_config(options.config).shapes.world
    except ValueError as error:
        parser.exit(2, f"{error}\n")

    # The cache depends on the weights and every setting that changes a picture.
    painter = Painter(options.demo, options.seed, options.steps, options.guidance)
    name = weights_name(options.demo)
    work = options.work / f"{name}_seed{options.seed}_steps{options.steps}_guidance{options.guidance}"
    reference_scenes = [sample_scene(world, index) for index in REFERENCE[: options.layouts]]
    reference = np.stack([features(draw(scene)) for scene in reference_scenes])
    worlds = {
        "held_out": (world, options.layouts),
        "heavy": (replace(world, crowding=HEAVY), options.heavy_layouts),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    sets = {}
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one thread per judge process; read when it starts
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as judges:
        for label, (drawn_world, count) in worlds.items():
            scenes = [sample_scene(drawn_world, index) for index in HELD_OUT[:count]]
            results = Results(painter, work / label, scenes, judges)
            sets[label] = results.rows(options.methods, reference)
            results.sheet(options.methods, SHEET_ROWS).quantize().save(options.output / f"{label}.png")

    settings = {"steps": options.steps, "guidance": options.guidance, "seed": options.seed, "weights": name}
    report = {**settings, "sets": sets}
    (options.output / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.output / "README.md").write_text(page(report))


if __name__ == "__main__":
    main()
