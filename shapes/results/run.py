"""A run of the results: paints and scores every set of layouts, and writes the report."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from ifadapter_diffusers.painter import NOISE_ROWS, Painter

from ..models.config import load_shapes_config
from ..sampler import HELD_OUT, sample_scene
from .page import FORMAT, page
from .picture_score import reference_features
from .pictures import Pictures
from .quickstart import SEEDS, paint_seeds, read_workflow_scene, score_seeds, seed_sheet
from .readme import update_readme
from .rows import FULL, HEAVY, MOST_LAYOUTS, REAL
from .scored_set import ScoredSet
from .tables import readme_table

REFERENCE = HELD_OUT[MOST_LAYOUTS:]  # drawings of the Frechet reference set, disjoint from the layouts
SHEET_ROWS = 8  # layouts on a contact sheet
WORST = 10  # layouts on the sheet of the worst
CHUNK = NOISE_ROWS  # layouts painted together on a CPU
GPU_CHUNK = 8 * NOISE_ROWS  # on a GPU
REFERENCE_JOB = 25  # drawings of the reference set in one task of a process


def run(options: argparse.Namespace, judges: Executor) -> int:
    """Returns the exit status: 0, or 2 for an error with a message.

    options: of ``python -m shapes.comparison``.
    judges: processes that score pictures.
    """
    start = time.monotonic()
    try:
        world = load_shapes_config(options.config).shapes.world
        quickstart = read_workflow_scene(options.quickstart)
        on_gpu = torch.device(options.device).type != "cpu"
        for path in options.update:
            update_readme(path)
        painter = Painter(options.demo, options.seed, options.steps, options.guidance, device=options.device)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if on_gpu:
        painter.base.vae.disable_slicing()  # decoding picture by picture is for little memory

    indices = REFERENCE[: options.layouts]
    reference_jobs = [
        judges.submit(reference_features, world, indices[first : first + REFERENCE_JOB])
        for first in range(0, len(indices), REFERENCE_JOB)
    ]

    # Paint everything; the processes judge meanwhile. The cache depends on the weights and every setting
    # that changes a picture.
    weights = weights_name(options.demo)
    settings = f"seed{options.seed}_steps{options.steps}_guidance{options.guidance}"
    work = options.work / f"{weights}_{settings}_{torch.device(options.device).type}"
    chunk = GPU_CHUNK if on_gpu else CHUNK
    worlds = {
        "held_out": (world, options.layouts),
        "heavy": (replace(world, crowding=HEAVY), options.heavy_layouts),
    }
    sets: dict[str, ScoredSet] = {}
    for name, (drawn_world, count) in worlds.items():
        scenes = [sample_scene(drawn_world, index) for index in HELD_OUT[:count]]
        pictures = Pictures(painter, work / name, scenes, chunk)
        sets[name] = ScoredSet(name.replace("_", " "), pictures, judges, options.ap50_layouts)
        sets[name].paint(options.methods)
    seeds = paint_seeds(painter, quickstart.layout, SEEDS) if FULL in options.methods else None
    painted = time.monotonic()

    # Score.
    jobs = [job for each in sets.values() for job in each.jobs]
    for _ in tqdm(as_completed(jobs), total=len(jobs), desc="judging", unit="job", dynamic_ncols=True):
        pass
    reference = np.concatenate([job.result() for job in reference_jobs])
    report: dict[str, Any] = {
        "format": FORMAT,
        "steps": options.steps,
        "guidance": options.guidance,
        "seed": options.seed,
        "weights": weights,
        "ap50_layouts": options.ap50_layouts,
        "sets": {name: each.summary(options.methods, reference) for name, each in sets.items()},
        "quickstart": None if seeds is None else score_seeds(seeds, quickstart, SEEDS),
    }

    # Write.
    options.output.mkdir(parents=True, exist_ok=True)
    for name, each in sets.items():
        _save(each.sheet(options.methods, SHEET_ROWS), options.output / f"{name}.png")
    if seeds is not None:
        worst = sets["held_out"].worst_sheet([REAL, FULL], FULL, WORST)
        _save(worst, options.output / "worst.png")
        _save(seed_sheet(quickstart.layout, seeds, SEEDS), options.output / "quickstart.png")
    write_report(report, options.output, options.update)
    sys.stdout.write(
        f"{options.output}: painted in {painted - start:.0f} s, all in {time.monotonic() - start:.0f} s\n"
    )
    return 0


def rewrite(options: argparse.Namespace) -> int:
    """Write the page and tables of a report again. Returns the exit status, see ``run``."""
    try:
        report = json.loads(options.report.read_text("utf-8"))
        if not isinstance(report, dict) or report.get("format") != FORMAT:
            raise ValueError("it was made by another version; run make results")
        write_report(report, options.output, options.update)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{options.report}: {error}\n")
        return 2
    return 0


def write_report(report: dict[str, Any], output: Path, readmes: Sequence[Path]) -> None:
    """Write ``results.json`` and the page to ``output``, and the table in other files."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    (output / "README.md").write_text(page(report), "utf-8")
    for path in readmes:
        update_readme(path, readme_table(report["sets"]["held_out"]))


def weights_name(demo: Path, parts: Sequence[str] = ("",)) -> str:
    """Content hash of the weights in a folder: of all, or of some subfolders and files in it."""
    places = [demo / part for part in parts]
    digest = hashlib.sha256()
    for path in sorted(
        path for place in places for path in ([place] if place.is_file() else place.rglob("*.safetensors"))
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _save(sheet: Image.Image, path: Path) -> None:
    sheet.quantize().save(path)
