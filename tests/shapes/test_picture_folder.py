"""Drawn folders are what the trainer reads, and are completed where they were stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifadapter_core.layout import Layout
from shapes.drawing import draw
from shapes.models.config import load_shapes_config
from shapes.picture_folder import main
from shapes.sampler import TRAINING, sample_scene
from training.__main__ import main as train


def test_a_folder_has_the_drawings_of_training_scenes_and_their_layouts(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--count", "3"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{number:06d}.{kind}" for number in range(3) for kind in ("json", "png")
    ]
    world = load_shapes_config("shapes").shapes.world
    for number in range(3):
        scene = sample_scene(world, TRAINING[number])
        path = tmp_path / f"{number:06d}.png"
        assert np.array_equal(np.asarray(Image.open(path)), draw(scene))
        layout = Layout.from_json(path.with_suffix(".json"), width=scene.size, height=scene.size)
        assert layout.caption == scene.caption
        assert layout.local_descriptions == scene.layout.local_descriptions
        for read, drawn in zip(layout.instances, scene.layout.instances, strict=True):
            assert read.box == pytest.approx(drawn.box, abs=1e-6)


def test_a_stopped_folder_is_completed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path), "--count", "2"])
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "000001.json").unlink()  # stopped after its picture
    capsys.readouterr()
    assert main([str(tmp_path), "--count", "2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: 2 pictures with layouts, 1 of them new.\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


def test_the_trainer_can_use_every_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path), "--count", "8"])
    with pytest.raises(SystemExit) as end:
        train(["adapter", "--check", "--config", "demo", f"folder.path={tmp_path}", "folder.held_out=null"])
    assert end.value.code == 0
    assert "8 of 8 pictures can be used." in capsys.readouterr().out


@pytest.mark.parametrize("count", ["0", "-1", "3000000000"])
def test_a_wrong_count_is_refused(tmp_path: Path, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--count", count])
    assert "--count" in capsys.readouterr().err
