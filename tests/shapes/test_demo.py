"""``python -m demo``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = {
    "caption": "a circle and a cat on a grey background",
    "boxes": [
        {"x": 0.1, "y": 0.1, "w": 0.4, "h": 0.4, "caption": "a red circle with white dots"},
        {"x": 0.5, "y": 0.5, "w": 0.4, "h": 0.4, "caption": "a ginger cat"},
    ],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_layout_of_ones_own_gives_pictures_and_a_table(tmp_path: Path) -> None:
    layout = tmp_path / "mine.json"
    layout.write_text(json.dumps(LAYOUT))
    done = run("--layout", str(layout), "--steps", "2", "--seed", "3", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "caption_0.png",
        "eot_0.png",
        "full_0.png",
        "sheet.png",
    }
    assert Image.open(tmp_path / "out" / "full_0.png").size == (128, 128)
    lines = [line for line in done.stdout.splitlines() if line]
    assert "success" in lines[0]
    assert "pattern_colour" in lines[0]
    assert [line.split("/")[1].split()[0] for line in lines[1:4]] == ["1"] * 3  # the cat cannot be judged
    assert "SDXL" in lines[-1]
    assert "workflows/place_things_with_boxes.json" in lines[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ('{"boxes": [{"x": 0, "y": 0, "w": 1, "h": 1}]}', "no local description")],
)
def test_what_is_no_layout_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    layout = tmp_path / "mine.json"
    layout.write_text(content)
    done = run("--layout", str(layout), "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    assert str(layout) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_layout_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("--layout", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
