"""``python -m training cost``: a table of the time and memory of a training step."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch

from ..config import DTYPES, Config, load_config
from ..config_reader import config_path
from .bench import CACHED, INSTANCES, MIN_STEPS, PIXELS, WARM_UP, Bench, Case, Cost, all_cases
from .random_base import ARCHITECTURES

BATCH_SIZES = (1, 2, 4, 8)
NO_TIME = "no time left"
HEADER = (
    "pictures",
    "input",
    "checkpointing",
    "s per batch",
    "s per optimizer step",
    "pictures/s",
    "GiB in use",
    "GiB held",
)


def main(arguments: Sequence[str]) -> None:
    start = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="python -m training cost",
        description="Measure a training step of an adapter, on random weights of true size.",
    )
    parser.add_argument("--config", default="sdxl", help="a config in training/configs, or a .yaml file")
    parser.add_argument("--base", choices=sorted(ARCHITECTURES), help="default: the config's name")
    parser.add_argument(
        "--rows", metavar="ROW,ROW", help="such as 4-pixels-checkpointing,8-cached (default: 16 rows)"
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="limit in all (default 300)")
    parser.add_argument("--output", type=Path, help="folder of cost.json and cost.md (default: the config's)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="overrides of the config")
    options = parser.parse_intermixed_args(arguments)
    try:
        rows = options.rows
        cases = [Case.parse(name) for name in rows.split(",")] if rows else all_cases(BATCH_SIZES)
        config = load_config(options.config, options.settings)
        base = options.base or config_path(options.config).stem
        if base not in ARCHITECTURES:
            raise ValueError(
                f"The config {base} does not tell its base model's sizes. "
                f"Give --base: one of {', '.join(ARCHITECTURES)}."
            )
        run(config, base, cases, start, options.seconds, options.output or Path(config.output))
    except (ValueError, OSError, torch.OutOfMemoryError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The rows so far are written.\n")


def run(
    config: Config, base: str, cases: Sequence[Case], start: float, seconds: float, folder: Path
) -> list[Cost]:
    """Measure the cases, print them, and write ``cost.json`` and ``cost.md`` after each one.

    start: of the command, by ``time.monotonic``. seconds: limit since then; cases that would pass it
        are left out, with a note.
    """
    folder.mkdir(parents=True, exist_ok=True)
    architecture, precision = ARCHITECTURES[base], config.adapter.loop.mixed_precision
    size = config.folder.size if config.folder else architecture.size
    bench = Bench(config.adapter, architecture, size, cases, DTYPES[precision])
    device = bench.accelerator.device
    about = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": str(torch.__version__),
        "diffusers": diffusers.__version__,
        "base": base,
        "precision": precision,
        "size_px": size,
        "instances": INSTANCES,
        "adapter_weights": sum(weight.numel() for weight in bench.trained),
        "setup_seconds": round(time.monotonic() - start, 1),
    }
    sys.stdout.write("".join(f"{key}: {value}\n" for key, value in about.items()))
    sys.stdout.flush()
    costs = []
    for cost in _measured(bench, cases, start + seconds):
        costs.append(cost)
        sys.stdout.write(f"{time.monotonic() - start:5.0f} s  {_row(cost)}\n")
        sys.stdout.flush()
        rows = [{"row": entry.case.name, **asdict(entry)} for entry in costs]
        (folder / "cost.json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", "utf-8")
        (folder / "cost.md").write_text(table(about, costs), "utf-8")
    return costs


def _measured(bench: Bench, cases: Sequence[Case], deadline: float) -> Iterator[Cost]:
    """The cost of each case: those from pixels first, because caches free what pixels need."""
    ordered = sorted(cases, key=lambda case: case.cached)
    slowest = 0.0  # seconds per picture of a step
    cached = False
    for number, case in enumerate(ordered):
        left = deadline - time.monotonic()
        if left < slowest * case.batch_size * (WARM_UP + MIN_STEPS) or left <= 0:
            yield Cost(case, error=NO_TIME)
            continue
        if case.cached and not cached:
            bench.use_caches()
            cached = True
        share = left / (len(ordered) - number)
        cost = bench.measure(case, time.monotonic() + share)
        if cost.pictures_per_second:
            slowest = max(slowest, 1 / cost.pictures_per_second)
        yield cost


def table(about: dict[str, Any], costs: Sequence[Cost]) -> str:
    """The costs in Markdown."""
    lines = [
        f"{about['device']}, PyTorch {about['torch']}: {about['base']} at {about['size_px']} px, "
        f"{about['precision']}, {about['instances']} boxes in each picture, "
        f"{about['adapter_weights'] / 1e6:.0f} M trained weights.",
        "",
        f"| {' | '.join(HEADER)} |",
        "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(cost) for cost in costs),
    ]
    return "\n".join([*lines, ""])


def _row(cost: Cost) -> str:
    case = cost.case
    cells = [
        str(case.batch_size),
        CACHED if case.cached else PIXELS,
        "yes" if case.checkpointing else "no",
        cost.error or _number(cost.batch_seconds, 3),
        _number(cost.optimizer_seconds, 3),
        _number(cost.pictures_per_second, 2),
        _number(cost.peak_gib, 1),
        _number(cost.reserved_gib, 1),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
