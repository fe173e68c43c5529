"""Runs a sweep: generates the pictures of every point, scores them, and writes the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..benchmark import Benchmark, read_benchmark, write_benchmark
from ..generate.sources import generate_folder
from ..judge.caption_scores import copy_caption_scores
from ..judge.scorer import copy_records
from ..report.score_folder import FEATURES, check_settings, sample_scores, score_folder
from .plan import Point, Sweep, slug
from .report import Row, check_columns, make_row, write_plots, write_table


def run_sweep(sweep: Sweep, folder: Path) -> list[Row]:
    """Write pictures, scores and the report to ``folder``. Finished files are kept on resuming.

    Raises ValueError, before anything is generated, if a setting or a column is wrong or a part of
    the benchmark is empty.
    """
    # Check everything that can be checked without pictures.
    benchmark = read_benchmark(sweep.benchmark)
    parts = {point.name: point.part.of(benchmark) for point in sweep.points if point.part}
    pictures = picture_folders(sweep.points, folder)
    check_settings(sweep.score, benchmark)
    check_columns(sweep, sample_scores(sweep.score, benchmark))

    rows: list[Row] = []
    scored_before: dict[Path, Path] = {}  # folder of pictures -> its first folder of scores
    for point in sweep.points:
        sys.stderr.write(f"{point.name}\n")

        # Generate all layouts, even for a part: its pictures are those of its variant.
        generate_folder(benchmark, pictures[point.name], point.settings)

        # Judge each picture once, also if several points share it: a part of the benchmark has those of
        # its variant, which was scored before it.
        output = folder / "scores" / slug(point.name)
        scored = _write_part(benchmark, point, folder) if point.part else benchmark
        before = scored_before.setdefault(pictures[point.name], output)
        if before != output:
            copy_records(before, output, scored.entries)
            copy_caption_scores(before, output, scored.entries)
        scores = score_folder(scored, pictures[point.name], output, sweep.score, folder / FEATURES)

        # Write the table after each point, so that a stopped sweep has one too.
        rows.append(make_row(sweep, point, len(parts.get(point.name, benchmark.entries)), scores))
        write_table(rows, folder)
    write_plots(sweep, rows, folder)
    return rows


def picture_folders(points: Sequence[Point], folder: Path) -> dict[str, Path]:
    """The folder of pictures of each point, by its name.

    Points with equal settings share the first one's folder.
    """
    by_settings: dict[str, str] = {}
    folders = {}
    for point in points:
        key = json.dumps(point.settings.recorded(), sort_keys=True)
        folders[point.name] = folder / "pictures" / by_settings.setdefault(key, slug(point.name))
    return folders


def _write_part(benchmark: Benchmark, point: Point, folder: Path) -> Benchmark:
    """Write the point's part of the benchmark as a benchmark of its own."""
    part = point.part
    assert part is not None
    source = {**benchmark.source, part.select: str(part), "of": benchmark.digest}
    target = folder / "benchmarks" / f"{part.select}_{part.low:g}_{part.high:g}"
    return write_benchmark(target, part.of(benchmark), source)
