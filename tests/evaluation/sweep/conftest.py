"""A sweep file whose points are scored by the brightness of their pictures, and its benchmark."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import SWEEP_BOXES

import tiny_models
from evaluation.benchmark import Benchmark, write_benchmark
from ifadapter_core.layout import Instance, Layout

CONFIG = """
benchmark: {benchmark}
generate: --models {models} --steps 2 --guidance 2
score: --factor 2
columns: {{brightness: row.mean, layouts seen: row.count}}
interval: row.interval
variants:
  IFAdapter:
  EoT token only: --method eot
axes:
  strength: {{options: "--strength {{value}}", values: [0, 1.5]}}
  instances: {{select: instances, values: [1, 2, 3], variants: [IFAdapter, EoT token only]}}
"""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    layouts = {
        name: Layout(32, 32, tuple(map(Instance, boxes, tiny_models.TEXTS)), name)
        for name, boxes in SWEEP_BOXES.items()
    }
    write_benchmark(folder, layouts, {"kind": "test"})
    return folder


@pytest.fixture
def config(models: Path, benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``sweep.yaml``; ``Brightness`` replaces the command ``score``."""
    path = tmp_path / "sweep.yaml"
    path.write_text(CONFIG.format(models=models, benchmark=benchmark))
    monkeypatch.setattr("evaluation.commands.sweep_file.score_command", Brightness)
    monkeypatch.setattr("evaluation.sweep.run.check_settings", check_settings)
    monkeypatch.setattr("evaluation.sweep.run.sample_scores", sample_scores)
    monkeypatch.setattr("evaluation.sweep.run.score_folder", score_folder)
    return path


@dataclass(frozen=True)
class BrightnessSettings:
    """factor: must be 2."""

    factor: int


class Brightness:
    """In place of the command ``score``: its options."""

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--factor", type=int)

    @staticmethod
    def settings_of(options: argparse.Namespace) -> BrightnessSettings:
        return BrightnessSettings(options.factor)


def check_settings(settings: BrightnessSettings, benchmark: Benchmark) -> None:
    if settings.factor != 2:
        raise ValueError(f"--factor is {settings.factor}; expected 2.")


def sample_scores(settings: BrightnessSettings, benchmark: Benchmark) -> dict[str, Any]:
    return {"row": {"mean": 0.0, "count": 0, "interval": [0.0, 0.0]}}


def score_folder(
    benchmark: Benchmark, pictures: Path, output: Path, settings: BrightnessSettings, features: Path
) -> dict[str, Any]:
    names = [entry.name for entry in benchmark.entries]
    mean = float(np.mean([np.asarray(Image.open(pictures / f"{name}.png")).mean() for name in names]))
    return {"row": {"mean": mean, "count": len(names), "interval": [mean - 1, mean + 2]}}
