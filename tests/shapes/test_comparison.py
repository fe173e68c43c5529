"""The scores in the tables of the demo's results are computed correctly."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ifadapter_diffusers.painter import Method
from shapes.comparison import (
    CHUNK,
    TITLES,
    Judged,
    Results,
    count_table,
    interval,
    judge_picture,
    page,
    rate,
    summarize,
    table,
    weights_name,
)
from shapes.drawing import draw
from shapes.recognition.frechet import features
from shapes.recognition.verifier import ATTRIBUTES, AttributeVerdict
from shapes.sampler import World, sample_scene

RIGHT = AttributeVerdict(True, True, True, True, True)
WRONG_COLOUR = AttributeVerdict(True, True, False, True, True)
MISSING = AttributeVerdict(False, False, False, False, False)
WORLD = World(sides=(0.3, 0.6))


def judged(*verdicts: AttributeVerdict) -> Judged:
    return Judged(list(verdicts), [], np.zeros(4))


def test_a_rate_counts_instances_not_pictures() -> None:
    ones = [judged(RIGHT, RIGHT, WRONG_COLOUR), judged(MISSING)]
    assert rate(ones, "success") == pytest.approx(2 / 4)
    assert rate(ones, "colour") == pytest.approx(2 / 4)
    assert rate(ones, "found") == pytest.approx(3 / 4)


def test_the_interval_contains_the_rate_and_narrows_with_more_pictures() -> None:
    few = [judged(RIGHT, MISSING), judged(RIGHT), judged(MISSING)] * 5
    many = few * 16
    (low, high), (lower, higher) = interval(many), interval(few)
    assert lower < low < rate(few, "success") < high < higher
    assert higher - lower == pytest.approx(4 * (high - low), rel=0.25)  # sqrt(16)


def test_the_interval_of_perfect_pictures_is_a_point() -> None:
    assert interval([judged(RIGHT, RIGHT)] * 10) == (1.0, 1.0)


@pytest.mark.slow
def test_real_drawings_succeed_and_are_near_other_real_drawings() -> None:
    scenes = [sample_scene(WORLD, index) for index in range(24)]
    other = np.stack([features(draw(sample_scene(WORLD, index))) for index in range(100, 148)])
    real = summarize([judge_picture(draw(scene), scene) for scene in scenes], scenes, other)
    grey = summarize(
        [judge_picture(np.full((128, 128, 3), 128, np.uint8), scene) for scene in scenes], scenes, other
    )
    assert real["success"] >= 0.95
    assert real["ap50"] >= 0.9
    assert grey["success"] == grey["found"] == grey["ap50"] == 0
    assert real["frechet"] < grey["frechet"] / 2
    assert set(real["by_instances"]) == {str(len(scene.figures)) for scene in scenes}


def test_the_tables_show_every_row_and_column() -> None:
    scenes = [sample_scene(WORLD, index) for index in range(8)]
    other = np.stack([features(draw(scene)) for scene in scenes])
    row = summarize([judge_picture(draw(scene), scene) for scene in scenes], scenes, other)
    lines = table({"real": row, "full": row}).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == lines[0].count("|") == 3 + len(ATTRIBUTES) + 4 - 1 for line in lines)
    assert TITLES["full"] in lines[3]
    assert f"**{100 * row['success']:.1f}**" in lines[3]
    assert len(count_table({"real": row}).splitlines()[0].split("|")) == len(row["by_instances"]) + 3
    report = {
        "steps": 20,
        "guidance": 2.0,
        "seed": 0,
        "weights": "0123",
        "sets": {"held_out": {"real": row}, "heavy": {"real": row}},
    }
    assert page(report).count(table({"real": row})) == 2
    assert "weights 0123" in page(report)


def test_the_committed_page_is_up_to_date() -> None:
    results = Path(__file__).resolve().parents[2] / "docs" / "results"
    report = json.loads((results / "results.json").read_text("utf-8"))
    assert (results / "README.md").read_text("utf-8") == page(report)


class CountingPainter:
    """A painter that records the first index of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def paint(self, method: Method, layouts: list, first: int) -> np.ndarray:
        self.calls.append(first)
        return np.full((len(layouts), 128, 128, 3), first % 256, np.uint8)


def test_painted_chunks_are_cached(tmp_path: Path) -> None:
    scenes = [sample_scene(WORLD, index) for index in range(CHUNK + 3)]
    painter = CountingPainter()
    pictures = Results(painter, tmp_path, scenes, ThreadPoolExecutor(1)).pictures("full")  # type: ignore[arg-type]
    assert painter.calls == [0, CHUNK]
    assert len(pictures) == CHUNK + 3
    again = Results(painter, tmp_path, scenes, ThreadPoolExecutor(1)).pictures("full")  # type: ignore[arg-type]
    assert painter.calls == [0, CHUNK]
    assert (again == pictures).all()


def test_other_weights_have_another_hash(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"1")
    before = weights_name(tmp_path)
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"2")
    assert weights_name(tmp_path) != before
