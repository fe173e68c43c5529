"""Trainings by the command on pictures drawn here, with a tiny base model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image, ImageDraw

import training.__main__ as command
from ifadapter_core.checkpoint import RELEASE_PARTS, release_name
from ifadapter_diffusers.randomness import seeded_generator

SIDE_PX = 64
COLOURS = ("red", "blue", "green", "yellow")
SHAPE: dict[str, Any] = {
    "blocks": ["mid_block", "up_blocks.0"],
    "transformer_blocks": 1,
    "width": 16,
    "heads": 2,
    "resampler_layers": 2,
    "queries": 2,
    "frequencies": 8,
    "position_width": 16,
    "gate_reduction": 8,
    "alpha": 0.5,
}


def draw(folder: Path, count: int) -> Path:
    """A folder of pictures of one or two squares, with their layouts."""
    folder.mkdir()
    for number in range(count):
        randomness = seeded_generator(9, number)
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX), "grey")
        parts = []
        for place in range(1 + number % 2):
            left, top = (int(torch.randint(0, SIDE_PX // 2, (), generator=randomness)) for _ in range(2))
            colour = COLOURS[(number + place) % len(COLOURS)]
            side = SIDE_PX // 2 - 2
            ImageDraw.Draw(picture).rectangle((left, top, left + side, top + side), colour)
            parts.append({"box": [left, top, side, side], "caption": f"a {colour} square"})
        picture.save(folder / f"{number:03}.png")
        layout = {"caption": "squares", "annotations": parts}
        (folder / f"{number:03}.json").write_text(json.dumps(layout))
    return folder


def write_config(path: Path, base: Path, pictures: Path, **adapter: Any) -> Path:
    """A config of a few steps. adapter: further settings of its section."""
    path.parent.mkdir(exist_ok=True, parents=True)
    config = {
        "output": str(path.parent / "run"),
        "base": str(base),
        "folder": {"path": str(pictures), "size": SIDE_PX, "held_out": "25%"},
        "adapter": {
            "batch_size": 2,
            "samples": 2,
            "shape": SHAPE,
            "loop": {"steps": 4, "save_every": 2, "held_out_every": 2, "log_every": 2, "trackers": []},
            **adapter,
        },
    }
    path.write_text(yaml.safe_dump(config))
    return path


def train(config: Path, *settings: str) -> Path:
    """Run the command; returns the folder of the adapter's run."""
    command.main(["adapter", "--config", str(config), *settings])
    return config.parent / "run" / "adapter"


def held_out(run: Path) -> list[dict[str, float]]:
    """The rows of the held-out losses of a run."""
    with (run / "held_out.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of the metrics of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def save_release(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Write an adapter's weights as the release's file: a dict of three dicts, with its names."""
    parts: dict[str, dict[str, torch.Tensor]] = {part: {} for part in RELEASE_PARTS}
    for name, tensor in tensors.items():
        part, _, key = release_name(name).partition(".")
        parts[part][key] = tensor.clone()
    torch.save(parts, path)
    return path
