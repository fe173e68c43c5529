"""Caches and trainings of tiny base models on pictures of several shapes, by the commands."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from own_runs import SHAPE, write_config
from PIL import Image

import training.__main__ as command
from ifadapter_diffusers.randomness import seeded_generator

SIZES = ((96, 64), (64, 64), (70, 100), (150, 64), (64, 64), (64, 130))  # pixels


def write_pictures(folder: Path, count: int = 12, captions: bool = True) -> Path:
    """Pictures of noise with one or two boxes. captions: whether layouts have their own."""
    folder.mkdir()
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        randomness = seeded_generator(8, number)
        pixels = torch.randint(256, (height, width, 3), generator=randomness)
        Image.frombytes("RGB", (width, height), bytes(pixels.flatten().tolist())).save(
            folder / f"{number:02}.png"
        )
        parts = [
            {"box": [place * 30, 10, 30, 40], "caption": f"a thing {(number + place) % 5}"}
            for place in range(1 + number % 2)
        ]
        layout = {"caption": f"picture {number % 7}" if captions else "", "annotations": parts}
        (folder / f"{number:02}.json").write_text(json.dumps(layout))
    return folder


def config_file(folder: Path, base: Path, pictures: Path, **adapter: Any) -> Path:
    return write_config(folder / "own.yaml", base, pictures, shape=SHAPE, **adapter)


def settings(cache: Path, *more: str) -> list[str]:
    return [f"cache.path={cache}", "folder.aspect=buckets", "folder.crops=2", *more]


def make_cache(config: Path, *given: str) -> None:
    command.main(["cache", "--config", str(config), *given])


def losses(run: Path, name: str = "losses.csv") -> list[list[float]]:
    """The numbers of a table in the folder of a run."""
    with (run / name).open(newline="") as file:
        rows = list(csv.reader(file))
    return [[float(value) for value in row] for row in rows[1:]]
