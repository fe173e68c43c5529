"""Painting and judging a set of layouts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scores import WORLD

from ifadapter_diffusers.painter import Method
from shapes.drawing import draw
from shapes.results.pictures import Pictures
from shapes.results.rows import TITLES
from shapes.results.scored_set import JOB, ScoredSet
from shapes.sampler import World, sample_scene
from shapes.scene import Scene

CHUNK = 4
SCENES = [sample_scene(WORLD, index) for index in range(JOB + CHUNK + 1)]


class DrawingPainter:
    """Paints drawings, those of the method "caption" in grey; records the first index of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def paint(self, method: Method, layouts: list[Any], first: int) -> np.ndarray:
        self.calls.append(first)
        if method.key == "caption":
            return np.full((len(layouts), 128, 128, 3), 128, np.uint8)
        return np.stack([draw(scene) for scene in SCENES[first : first + len(layouts)]])


@pytest.fixture
def judges() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def pictures(
    painter: DrawingPainter, folder: Path, chunk: int = CHUNK, scenes: list[Scene] = SCENES
) -> Pictures:
    return Pictures(painter, folder, scenes, chunk)  # type: ignore[arg-type]


def test_painted_chunks_are_cached(tmp_path: Path) -> None:
    painter = DrawingPainter()
    once = pictures(painter, tmp_path).all("full")
    assert painter.calls == [0, 4, 8]
    assert (once == np.stack([draw(scene) for scene in SCENES])).all()
    assert (pictures(painter, tmp_path).all("full") == once).all()
    assert painter.calls == [0, 4, 8]


def test_chunks_of_another_size_are_painted_again(tmp_path: Path) -> None:
    painter = DrawingPainter()
    once = pictures(painter, tmp_path).all("full")
    assert (pictures(painter, tmp_path, 8).all("full") == once).all()
    assert painter.calls == [0, 4, 8, 0, 8]


def test_more_layouts_keep_the_pictures_of_whole_chunks(tmp_path: Path) -> None:
    painter = DrawingPainter()
    pictures(painter, tmp_path, scenes=SCENES[:6]).all("full")
    more = pictures(painter, tmp_path)
    assert [len(chunk) for chunk in more.chunks("full")] == [4, 4, 1]
    assert painter.calls == [0, 4, 4, 8]
    assert (more.all("full") == np.stack([draw(scene) for scene in SCENES])).all()


def test_the_pictures_of_another_world_are_painted_again(tmp_path: Path) -> None:
    pictures(DrawingPainter(), tmp_path).all("real")
    others = [sample_scene(World(seed=1), index) for index in range(len(SCENES))]
    found = pictures(DrawingPainter(), tmp_path, scenes=others).all("real")
    assert (found == np.stack([draw(scene) for scene in others])).all()


def test_scores_come_in_the_order_of_the_layouts(tmp_path: Path, judges: Executor) -> None:
    whole = ScoredSet("test", pictures(DrawingPainter(), tmp_path), judges, detected=3)
    whole.paint(["full", "caption"])
    full, caption = whole.scores("full"), whole.scores("caption")
    assert [len(one.instances) for one in full] == [len(scene.figures) for scene in SCENES]
    assert all(instance.agreement == 1 for one in full for instance in one.instances)
    assert not any(instance.verdict.found for one in caption for instance in one.instances)
    assert [one.detections is not None for one in full] == [True] * 3 + [False] * (len(SCENES) - 3)


def test_sheets_show_a_row_of_pictures_for_each_layout(tmp_path: Path, judges: Executor) -> None:
    whole = ScoredSet("test", pictures(DrawingPainter(), tmp_path), judges, detected=0)
    whole.paint(["full"])
    sheet, worst = whole.sheet(["full", "real"], 2), whole.worst_sheet(["full"], "full", 100)
    assert sheet.width > worst.width
    assert worst.height > sheet.height
    assert set(TITLES) >= {"full", "real"}
