"""The quickstart's layout at several seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shapes.comparison import QUICKSTART
from shapes.drawing import draw
from shapes.results.quickstart import SEEDS, read_workflow_scene, score_seeds, seed_sheet

ROOT = Path(__file__).resolve().parents[3]
LAYOUT: dict[str, Any] = {
    "caption": "a circle and a square on a slate background",
    "boxes": [
        {"x": 0.0, "y": 0.0, "w": 0.5, "h": 0.5, "caption": "a red circle with white dots"},
        {"x": 0.5, "y": 0.5, "w": 0.5, "h": 0.5, "caption": "a plain blue square"},
    ],
}


def workflow(folder: Path, layout: dict[str, Any] = LAYOUT, node: str = "IFAdapterLayout") -> Path:
    path = folder / "workflow.json"
    inputs = {"layout": json.dumps(layout), "width": 128, "height": 128}
    path.write_text(json.dumps({"1": {"class_type": "Other"}, "2": {"class_type": node, "inputs": inputs}}))
    return path


def test_the_scene_of_a_workflow_is_that_of_its_layout(tmp_path: Path) -> None:
    scene = read_workflow_scene(workflow(tmp_path))
    assert (scene.size, scene.background) == (128, "slate")
    assert [figure.box_px for figure in scene.figures] == [(0, 0, 64, 64), (64, 64, 128, 128)]
    assert [figure.attributes.colours for figure in scene.figures] == [("red", "white"), ("blue",)]


def test_the_packs_own_quickstart_is_of_the_drawn_world() -> None:
    assert len(read_workflow_scene(ROOT / QUICKSTART).figures) >= 2


def test_other_workflows_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"workflow\.json has no IFAdapterLayout node"):
        read_workflow_scene(workflow(tmp_path, node="KSampler"))
    cat = {**LAYOUT, "boxes": [*LAYOUT["boxes"], {"x": 0, "y": 0, "w": 0.5, "h": 0.5, "caption": "a cat"}]}
    with pytest.raises(ValueError, match=r"1 of its descriptions name no figure .*; a cat\."):
        read_workflow_scene(workflow(tmp_path, cat))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json"):
        read_workflow_scene(broken)


def test_a_seed_counts_when_all_instances_are_drawn_well(tmp_path: Path) -> None:
    scene = read_workflow_scene(workflow(tmp_path))
    good = draw(scene)
    half = good.copy()
    half[64:, 64:] = half[0, 127]  # without the square
    pictures = np.stack([good, half, np.full_like(good, 128)])
    scores = score_seeds(pictures, scene, SEEDS[:3])
    assert scores["drawn_well"] == scores["right"] == [2, 1, 0]
    assert scores["all_drawn_well"] == scores["all_right"] == 1
    assert scores["seeds"] == [1, 2, 3]
    assert seed_sheet(scene.layout, pictures, SEEDS[:3]).width > 4 * 256
