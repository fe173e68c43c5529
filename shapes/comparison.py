"""``python -m shapes.comparison``: what the demo's models reach on layouts that training never saw, as a table and pictures."""

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
from training.config import load_config

from .drawing import draw
from .methods import METHODS
from .recognition.average_precision import ap50
from .recognition.detection import detect
from .recognition.fitting import Fit
from .recognition.frechet import features, frechet_distance
from .recognition.verifier import ATTRIBUTES, AttributeVerdict, verify
from .sampler import HELD_OUT, sample_scene
from .scene import Scene

REAL = "real"  # not a method: drawings of the scenes, as an upper bound
TITLES = {REAL: "real drawings", **{key: method.title for key, method in METHODS.items()}}
CHUNK = 32  # layouts sampled at once
REFERENCE = HELD_OUT[5000:]  # real drawings that the Frechet distance is measured to; no layout is among them
RESAMPLES = 2000
HEAVY = 8  # crowding of the layouts with heavy overlap
SHEET_ROWS = 8


@dataclass(frozen=True)
class Judged:
    """One picture: the verdict on each instance, what a detector finds, and features."""

    verdicts: list[AttributeVerdict]
    detections: list[Fit]
    features: NDArray[np.float64]


def judge_picture(picture: Pixels, drawn: Scene) -> Judged:
    return Judged(verify(picture, drawn.figures), detect(picture), features(picture))


def rate(judged: Sequence[Judged], name: str) -> float:
    """Part of the instances for which a property of the verdict holds."""
    return float(np.mean([getattr(verdict, name) for one in judged for verdict in one.verdicts]))


def interval(judged: Sequence[Judged]) -> tuple[float, float]:
    """95 % bootstrap interval of the success: pictures are drawn again, with their instances."""
    right = np.array([sum(verdict.success for verdict in one.verdicts) for one in judged])
    total = np.array([len(one.verdicts) for one in judged])
    picks = np.random.Generator(np.random.PCG64(0)).integers(len(judged), size=(RESAMPLES, len(judged)))
    low, high = np.percentile(right[picks].sum(1) / total[picks].sum(1), (2.5, 97.5))
    return float(low), float(high)


def summarize(
    judged: Sequence[Judged], scenes: Sequence[Scene], reference: NDArray[np.float64]
) -> dict[str, Any]:
    """One row of the table."""
    by_count: dict[int, list[Judged]] = {}
    for one, drawn in zip(judged, scenes, strict=True):
        by_count.setdefault(len(drawn.figures), []).append(one)
    return {
        "success": rate(judged, "success"),
        "interval": interval(judged),
        **{name: rate(judged, name) for name in ATTRIBUTES},
        "ap50": ap50([one.detections for one in judged], [drawn.figures for drawn in scenes]),
        "frechet": frechet_distance(np.stack([one.features for one in judged]), reference),
        "by_instances": {str(count): rate(group, "success") for count, group in sorted(by_count.items())},
        "pictures": len(judged),
        "instances": sum(len(one.verdicts) for one in judged),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as a Markdown table, in percent but for the distance."""
    head = ("", "success", "95 %", "found", "shape", "colour", "pattern", "pattern colour", "AP50", "Frechet")
    lines = [head, ("---",) * len(head)]
    for name, row in rows.items():
        low, high = row["interval"]
        shares = (f"{100 * row[key]:.1f}" for key in (*ATTRIBUTES, "ap50"))
        lines.append(
            (
                TITLES[name],
                f"**{100 * row['success']:.1f}**",
                f"{100 * low:.1f} .. {100 * high:.1f}",
                *shares,
                f"{row['frechet']:.2f}",
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def count_table(rows: dict[str, dict[str, Any]]) -> str:
    """The success for each number of instances, as a Markdown table in percent."""
    counts = list(next(iter(rows.values()))["by_instances"])
    lines = [("instances", *counts), ("---",) * (len(counts) + 1)]
    lines += [
        (TITLES[name], *(f"{100 * row['by_instances'][count]:.1f}" for count in counts))
        for name, row in rows.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(report: dict[str, Any]) -> str:
    """The whole report as a Markdown page."""
    held_out, heavy = report["sets"]["held_out"], report["sets"]["heavy"]
    sizes = {name: next(iter(rows.values())) for name, rows in report["sets"].items()}
    return f"""# What the small models reach

Made by `make results` with the models of [demo/](../../demo/README.md) (weights {report["weights"]}), {report["steps"]} DDIM steps,
guidance {report["guidance"]}, seed {report["seed"]}. All methods get the same noise. All but one get the same
prompts, which tell every detail and no place; "caption with rough places" says in words where each instance is, as captions of the base
model's training did ("small, upper left"; five rows, five columns).

An instance is a success when it is found at its box (IoU at least 0.5) and its shape, colour, pattern and pattern colour are right.
The judge is a program that draws every figure it knows into a box and takes the nearest; it has never seen a generated picture. The
first row is what it says of real drawings. The interval is a 95 % bootstrap over pictures. AP50 asks a detector that knows no layout.
The Frechet distance is that of fixed features to {sizes["held_out"]["pictures"]} other real drawings; it compares rows of one table only.

"Appearance tokens only" and "EoT token only" are the same adapter with tokens switched off, not adapters trained without them.
"Regional attention" lets the cells of each box attend to its description through the base model's own cross attention.

## {sizes["held_out"]["pictures"]} layouts ({sizes["held_out"]["instances"]} instances) that training never saw

{table(held_out)}

Success by the number of instances:

{count_table(held_out)}

![The first layouts by all methods](held_out.png)

## {sizes["heavy"]["pictures"]} layouts ({sizes["heavy"]["instances"]} instances) with heavy overlap

{table(heavy)}

Success by the number of instances:

{count_table(heavy)}

![Heavy overlap by all methods](heavy.png)
"""


class Results:
    """All rows of one set of layouts; pictures that were painted are kept in ``folder``, so that a run goes on."""

    def __init__(self, painter: Painter, folder: Path, scenes: Sequence[Scene], judges: Executor) -> None:
        self.painter = painter
        self.judges = judges
        self.folder = folder
        self.scenes = scenes
        folder.mkdir(parents=True, exist_ok=True)

    def pictures(self, method: str) -> Pixels:
        chunks = []
        for first in tqdm(
            range(0, len(self.scenes), CHUNK), desc=TITLES[method], unit="chunk", dynamic_ncols=True
        ):
            path = self.folder / f"{method}_{first:05d}.npy"
            if not path.exists():
                with path.with_suffix(".new").open("wb") as file:
                    np.save(file, self._paint(method, first))
                os.replace(path.with_suffix(".new"), path)
            chunks.append(np.load(path))
        return np.concatenate(chunks)

    def _paint(self, method: str, first: int) -> Pixels:
        chunk = self.scenes[first : first + CHUNK]
        if method == REAL:
            return np.stack([draw(drawn) for drawn in chunk])
        return self.painter.paint(METHODS[method], [drawn.layout for drawn in chunk], first)

    def rows(self, methods: Sequence[str], reference: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
        rows = {}
        for method in methods:
            judging = self.judges.map(judge_picture, self.pictures(method), self.scenes, chunksize=8)
            judged = list(
                tqdm(judging, desc="judging", total=len(self.scenes), unit="picture", dynamic_ncols=True)
            )
            rows[method] = summarize(judged, self.scenes, reference)
        return rows

    def sheet(self, methods: Sequence[str], count: int) -> Image.Image:
        """The first layouts and what every method makes of them."""
        return comparison(
            [drawn.layout for drawn in self.scenes[:count]],
            {TITLES[method]: self.pictures(method)[:count] for method in methods},
        )


def weights_name(demo: Path) -> str:
    """Changes whenever the models do."""
    digest = hashlib.sha256()
    for path in sorted(demo.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m shapes.comparison", description="Measure the demo's models and write docs/results."
    )
    parser.add_argument("--demo", type=Path, default=Path("demo"), help="folder of the models")
    parser.add_argument("--config", default="shapes", help="config with the world")
    parser.add_argument(
        "--output", type=Path, default=Path("docs/results"), help="folder for the tables and the pictures"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/results"), help="folder for what was painted so far"
    )
    parser.add_argument("--layouts", type=int, default=500)
    parser.add_argument("--heavy-layouts", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=TITLES, default=list(TITLES))
    options = parser.parse_args()
    shapes = load_config(options.config).shapes
    if shapes is None:
        parser.exit(2, f"The config {options.config} has no drawn world.\n")
    painter = Painter(options.demo, options.seed, options.steps, options.guidance)
    name = weights_name(options.demo)
    work = options.work / f"{name}_seed{options.seed}_steps{options.steps}_guidance{options.guidance}"
    reference = np.stack(
        [features(draw(sample_scene(shapes.world, index))) for index in REFERENCE[: options.layouts]]
    )
    worlds = {
        "held_out": (shapes.world, options.layouts),
        "heavy": (replace(shapes.world, crowding=HEAVY), options.heavy_layouts),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    sets = {}
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the judges, which work side by side; read when they start
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as judges:
        for label, (world, count) in worlds.items():
            results = Results(
                painter, work / label, [sample_scene(world, index) for index in HELD_OUT[:count]], judges
            )
            sets[label] = results.rows(options.methods, reference)
            results.sheet(options.methods, SHEET_ROWS).quantize().save(options.output / f"{label}.png")
    report = {
        "steps": options.steps,
        "guidance": options.guidance,
        "seed": options.seed,
        "weights": name,
        "sets": sets,
    }
    (options.output / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.output / "README.md").write_text(page(report))


if __name__ == "__main__":
    main()
