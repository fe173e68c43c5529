"""One config -> pictures, scores, a table and plots; with the real generator on a tiny model, and scores that are easy to know."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import WORLD

import tiny_models
from evaluation.__main__ import main
from evaluation.benchmark import Benchmark, read_benchmark, write_benchmark
from evaluation.build.builder import build_drawn
from evaluation.commands.sweep import run_sweep
from evaluation.judge.drawn_world import ShapesDetector
from evaluation.sweep.config import Part, overlap, read_sweep
from ifadapter_core.layout import Box, Instance, Layout

BACK, FRONT, ASIDE = Box(0.0, 0.0, 0.5, 0.5), Box(0.25, 0.0, 1.0, 0.5), Box(0.6, 0.6, 0.9, 0.9)
BOXES = {"none": (ASIDE, BACK), "half": (BACK, FRONT), "three": (BACK, FRONT, ASIDE), "alone": (ASIDE,)}
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
        for name, boxes in BOXES.items()
    }
    write_benchmark(folder, layouts, {"kind": "test"})
    return folder


@pytest.fixture
def config(models: Path, benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In ``sweep.yaml``, scored by the brightness of the pictures."""
    path = tmp_path / "sweep.yaml"
    path.write_text(CONFIG.format(models=models, benchmark=benchmark))
    monkeypatch.setattr("evaluation.commands.sweep.score_command", Brightness)
    return path


class Brightness:
    """In the place of the score command."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        for name in ("benchmark", "pictures", "output"):
            parser.add_argument(name, type=Path)
        parser.add_argument("--factor", type=int)

    @staticmethod
    def check(options: argparse.Namespace, benchmark: Benchmark) -> None:
        if options.factor != 2:
            raise ValueError(f"--factor is {options.factor}; expected 2.")

    @staticmethod
    def score(options: argparse.Namespace) -> dict[str, Any]:
        names = [entry.name for entry in read_benchmark(options.benchmark).entries]
        mean = float(
            np.mean([np.asarray(Image.open(options.pictures / f"{name}.png")).mean() for name in names])
        )
        return {"row": {"mean": mean, "count": len(names), "interval": [mean - 1, mean + 2]}}


def test_every_point_is_generated_scored_and_shown(config: Path, tmp_path: Path) -> None:
    rows = run_sweep(read_sweep(config), tmp_path / "out")
    assert [row.point.name for row in rows] == [
        "IFAdapter",
        "EoT token only",
        "IFAdapter, strength 0",
        "IFAdapter, strength 1.5",
        "IFAdapter, instances 1",
        "IFAdapter, instances 2",
        "IFAdapter, instances 3 and more",
        "EoT token only, instances 1",
        "EoT token only, instances 2",
        "EoT token only, instances 3 and more",
    ]
    assert (
        [row.layouts for row in rows]
        == [4, 4, 4, 4, 1, 2, 1, 1, 2, 1]
        == [row.scores["layouts seen"] for row in rows]
    )
    assert len({row.scores["brightness"] for row in rows}) == len(rows)
    assert sum(row.scores["brightness"] * row.layouts for row in rows[4:7]) / 4 == pytest.approx(
        rows[0].scores["brightness"]
    )
    folders = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert folders == [
        "eot_token_only",
        "ifadapter",
        "ifadapter_strength_0",
        "ifadapter_strength_1.5",
    ]  # parts share their variant's
    mean = rows[1].scores["brightness"]
    lines = (tmp_path / "out" / "sweep.md").read_text().splitlines()
    assert lines[0] == "|  | layouts | brightness | layouts seen |"
    assert len(lines) == 2 + len(rows)
    assert lines[3] == f"| EoT token only | 4 | {mean:.3f} ({mean - 1:.3f} .. {mean + 2:.3f}) | 4 |"
    records = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert records[3]["value"] == 1.5
    assert records[3]["axis"] == "strength"
    assert records[3]["options"][-2:] == ["--strength", "1.5"]
    for name in ("variants.png", "strength.png", "instances.png"):
        assert np.asarray(Image.open(tmp_path / "out" / name).convert("L")).std() > 5


def test_a_second_run_makes_no_picture_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_sweep(read_sweep(config), tmp_path / "out")
    monkeypatch.setattr("ifadapter_diffusers.painter.Painter", None)
    assert run_sweep(read_sweep(config), tmp_path / "out") == first


def test_points_that_come_to_the_same_share_their_pictures(config: Path, tmp_path: Path) -> None:
    """As an axis's value that is the default."""
    config.write_text(config.read_text().replace("[0, 1.5]", "[0, 1]"))
    rows = run_sweep(read_sweep(config), tmp_path / "out")
    assert rows[3].point.name == "IFAdapter, strength 1"
    assert rows[3].scores == rows[0].scores
    folders = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert folders == ["eot_token_only", "ifadapter", "ifadapter_strength_0"]


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("--method eot", "--methd eot", r"EoT token only: generate: unrecognized arguments: --methd"),
        (
            "--method eot",
            "--method eots",
            r"EoT token only: generate: argument --method: invalid choice: 'eots'",
        ),
        ("--method eot", "--layers all", r"--layers is 'all'; expected whole numbers"),
        ("[1, 2, 3]", "[1, 2, 7]", r"No layout of the benchmark has instances in 7 and more"),
        ("--factor 2", "--fctor 2", r"score: unrecognized arguments: --fctor"),
        ("--factor 2", "--factor 3", r"--factor is 3; expected 2"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_made(
    config: Path, tmp_path: Path, find: str, put: str, message: str
) -> None:
    config.write_text(config.read_text().replace(find, put))
    with pytest.raises(ValueError, match=message):
        run_sweep(read_sweep(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        (
            "columns:",
            "colums:",
            r"sweep\.yaml: unknown: colums; missing: columns\. The keys are benchmark, generate",
        ),
        (
            "select: instances, ",
            "",
            r"axes: instances: give either options, with \{value\} in them, or select",
        ),
        ("select: instances", "select: size", r"select is 'size'; expected one of instances, overlap"),
        ("--strength {value}", "--strength", r"options is '--strength'; expected \{value\} in it"),
        ("[0, 1.5]", "[1.5, 0]", r"values is \[1\.5, 0\]; expected each larger than the one before"),
        ("[0, 1.5]", "[a]", r"values is \['a'\]; expected a list of numbers"),
        (
            "variants: [IFAdapter, EoT token only]",
            "variants: [EoT]",
            r"variants is \['EoT'\]; expected some of IFAdapter, EoT token only",
        ),
        (
            "  EoT token only:",
            "  eot-token-only:\n  EoT token only:",
            r"names too alike for files: eot_token_only, eot_token_only",
        ),
        ("--factor 2", "[2]", r"sweep\.yaml: score is \[2\]; expected options as on the command line"),
        ("row.mean", '"row', r"sweep\.yaml is not YAML"),
    ],
)
def test_a_wrong_config_is_explained(config: Path, find: str, put: str, message: str) -> None:
    text = config.read_text()
    assert find in text
    config.write_text(text.replace(find, put))
    with pytest.raises(ValueError, match=message):
        read_sweep(config)


def test_a_column_that_the_scores_lack_is_named(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("row.mean", "row.median"))
    with pytest.raises(
        ValueError, match=r"The scores have nothing at row\.median: in row there is mean, count, interval"
    ):
        run_sweep(read_sweep(config), tmp_path / "out")


def test_overlap_is_the_largest_part_of_a_box_that_another_in_front_covers() -> None:
    measured = {
        name: overlap(Layout(32, 32, tuple(Instance(box, "cat") for box in boxes)))
        for name, boxes in BOXES.items()
    }
    assert measured == {"none": 0, "half": 0.5, "three": 0.5, "alone": 0}
    assert overlap(Layout(32, 32, (Instance(FRONT, "cat"), Instance(BACK, "cat")))) == pytest.approx(1 / 3)


def test_parts_are_named_by_what_is_in_them() -> None:
    parts = [
        Part("instances", 2, 3),
        Part("instances", 2, 5),
        Part("instances", 5, math.inf),
        Part("overlap", 0, 1),
    ]
    assert list(map(str, parts)) == ["2", "2 to 4", "5 and more", "0 to below 1"]


def test_parts_are_open_at_their_upper_end(benchmark: Path) -> None:
    read = read_benchmark(benchmark)
    assert set(Part("overlap", 0.0, 0.5).of(read)) == {"none", "alone"}
    assert set(Part("overlap", 0.5, math.inf).of(read)) == {"half", "three"}


def test_the_drawn_world_is_swept_end_to_end(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real scorer, which looks once at each picture; a model of random weights draws no figures."""
    looked: list[object] = []
    detect = ShapesDetector.detect
    monkeypatch.setattr(
        ShapesDetector, "detect", lambda self, *given: looked.append(given) or detect(self, *given)
    )
    build_drawn(tmp_path / "shapes", WORLD, 2)
    config = tmp_path / "sweep.yaml"
    config.write_text(
        f"benchmark: {tmp_path / 'shapes'}\ngenerate: --models {models} --steps 1\nscore: --detector shapes --verifier shapes\n"
        "columns: {success: success, AP: ap.value}\ninterval: interval\nvariants:\n  IFAdapter:\n  EoT token only: --method eot\n"
        "axes:\n  instances: {select: instances, values: [1]}\n"
    )
    assert main(["sweep", str(config), str(tmp_path / "out")]) == 0
    assert (
        "| EoT token only | 2 | 0.000 (0.000 .. 0.000) | 0.000 |"
        in (tmp_path / "out" / "sweep.md").read_text()
    )
    assert len(looked) == 4
    assert (
        "| IFAdapter, instances 1 and more | 2 | 0.000 (0.000 .. 0.000) | 0.000 |"
        in (tmp_path / "out" / "sweep.md").read_text()
    )
    assert capsys.readouterr().out == (tmp_path / "out" / "sweep.md").read_text()
    assert (tmp_path / "out" / "variants.png").exists()
    assert (tmp_path / "out" / "scores" / "ifadapter" / "instances.csv").exists()
