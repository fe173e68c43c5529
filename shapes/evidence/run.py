"""Runs studies and writes their numbers, plots, the page and the README's table."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from .cache import write_atomic
from .numbers.intervals import difference, rate
from .numbers.reference import frechet
from .numbers.scores import ALL, MEASURES, Scores
from .report.page import page, readme_table, update_table
from .report.plots import save_plot
from .studio import Studio
from .study import Condition, Record, Study

FORMAT = 1  # of results.json
RESULTS, PAGE = "evidence/results.json", "evidence.md"  # in the output folder
PLOTS = "evidence"


def run_study(study: Study, studio: Studio) -> dict[str, Any]:
    """Paint, judge and compare the conditions of a study: the values of its ``Record``."""
    waiting = {}
    for number, condition in enumerate(study.conditions, 1):
        title = f"{study.key} {number} of {len(study.conditions)}, {condition.title}"
        sys.stderr.write(f"{title}\n")
        waiting[condition.key] = studio.start(condition.painting, condition.layouts, title)
    scores: dict[str, Scores] = {key: wait() for key, wait in waiting.items()}
    return {
        "settings": run_settings(studio, study),
        "conditions": {
            condition.key: _summary(condition, scores[condition.key], studio, study.frechet)
            for condition in study.conditions
        },
        "differences": {
            each.key: difference(
                scores[each.a], scores[each.b], each.measure, each.group, each.paired
            ).as_list()
            for each in study.comparisons
        },
        "extra": study.extra(studio, scores) if study.extra else {},
    }


def _summary(condition: Condition, scores: Scores, studio: Studio, with_frechet: bool) -> dict[str, Any]:
    groups = [ALL, *(group for group in condition.groups if scores.chosen(group).any())]
    return {
        "title": condition.title,
        "pictures": len(scores.counts),
        "instances": len(scores.hits),
        "frechet": frechet(studio, scores, condition.layouts) if with_frechet else None,
        "rates": {
            group: {measure: rate(scores, measure, group).as_list() for measure in MEASURES}
            for group in groups
        },
    }


def run_settings(studio: Studio, study: Study) -> dict[str, Any]:
    """What a reader must know to repeat a study."""
    options = studio.options
    settings = {
        "weights": studio.weights,
        "layouts": options.layouts,
        "steps": options.steps,
        "guidance": options.guidance,
        "seed": options.seed,
        "device": studio.kind,
    }
    if study.trains:
        settings |= {"train_batch": options.train_batch, "pool": options.pool}
    if study.trains and not study.own_steps:
        settings["train_steps"] = options.train_steps
    return settings


def read_results(output: Path) -> dict[str, Record]:
    """The studies of an earlier run, by key. Raises ValueError for a file of another version."""
    path = output / RESULTS
    if not path.exists():
        return {}
    values = json.loads(path.read_text("utf-8"))
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"{path} was made by another version. Remove it, and run the studies again.")
    return {key: Record(record) for key, record in values["studies"].items()}


def write_results(output: Path, study: Study, values: dict[str, Any]) -> None:
    """Add a study to ``results.json``, beside those of earlier and parallel runs, and save its plot."""
    add_results(output, study.key, values)
    save_plot(study, Record(rounded(values)), output / PLOTS / f"{study.key}.png")


def add_results(output: Path, key: str, values: dict[str, Any]) -> None:
    """Add the numbers of a study to ``results.json``."""
    path = output / RESULTS
    with locked(output):
        known = {key: record.values for key, record in read_results(output).items()}
        report = {"format": FORMAT, "studies": {**known, key: rounded(values)}}
        # One line for each interval.
        text = re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", _on_one_line, json.dumps(report, indent=1))
        write_atomic(path, f"{text}\n".encode())


def locked(output: Path) -> FileLock:
    """Context in which no parallel run writes to the output folder."""
    path = output / f"{RESULTS}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def _on_one_line(found: re.Match[str]) -> str:
    return f"[{' '.join(found[1].split())}]"


def rounded(values: Any) -> Any:
    """Floats with five decimals, which is beyond what the numbers of layouts allow."""
    if isinstance(values, float):
        return round(values, 5)
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    return [rounded(value) for value in values] if isinstance(values, (list, tuple)) else values


def write_page(output: Path, readmes: Sequence[Path]) -> None:
    """Write the page of all studies so far, and the table in other files."""
    with locked(output):
        records = read_results(output)
        (output / PAGE).write_text(page(records), "utf-8")
        for path in readmes:
            update_table(path, readme_table(records))
