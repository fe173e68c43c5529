"""``python -m demo``: pictures, a table, one progress bar, and errors that name the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = {
    "caption": "a circle and a cat on a grey background",
    "boxes": [
        {"x": 0.1, "y": 0.1, "w": 0.4, "h": 0.4, "caption": "a red circle with white dots"},
        {"x": 0.5, "y": 0.5, "w": 0.4, "h": 0.4, "caption": "a ginger cat"},
    ],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A finished run on one layout, and its output folder."""
    folder = tmp_path_factory.mktemp("demo")
    layout, output = folder / "mine.json", folder / "out"
    layout.write_text(json.dumps(LAYOUT))
    done = run("--layout", str(layout), "--steps", "2", "--seed", "3", "--output", str(output))
    assert done.returncode == 0, done.stderr
    return done, output


def test_a_custom_layout_gives_pictures_and_a_table(
    finished: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, output = finished
    assert {path.name for path in output.iterdir()} == {
        "caption_0.png",
        "eot_0.png",
        "full_0.png",
        "sheet.png",
    }
    assert Image.open(output / "full_0.png").size == (128, 128)
    lines = [line for line in done.stdout.splitlines() if line]
    assert "success" in lines[0]
    assert "drawn well" in lines[0]
    assert "pattern colour" in lines[0]
    assert [line.split("/")[1].split()[0] for line in lines[1:4]] == ["1"] * 3  # the cat is not judged
    assert "SDXL" in lines[-1]
    assert "workflows/place_things_with_boxes.json" in lines[-1]


def test_stdout_names_the_sheet(finished: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, output = finished
    assert str(output / "sheet.png") in done.stdout


def test_stderr_holds_one_progress_bar_only(
    finished: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    states = [state for state in finished[0].stderr.replace("\r", "\n").splitlines() if state]
    assert all(state.startswith("sampling: ") for state in states), states
    assert " 3/3 " in states[-1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"boxes": [{"x": 0, "y": 0, "w": 1, "h": 1}]}', "no local description"),
    ],
)
def test_an_invalid_layout_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    layout = tmp_path / "mine.json"
    layout.write_text(content)
    done = run("--layout", str(layout), "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    assert str(layout) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_layout_is_refused_by_name(tmp_path: Path) -> None:
    done = run("--layout", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
