"""``python -m shapes.detail``: which figures are sampled again, what stays, and the page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ifadapter_diffusers.painter import Painter
from shapes.detail.passes import DetailPass, redraw_small_figures
from shapes.detail.scores import Change, compare, small_figures, table
from shapes.drawing import draw
from shapes.scene import Attributes, Figure, Scene

ROOT = Path(__file__).resolve().parents[3]
LARGE = Figure(Attributes("square", "blue"), (4, 4, 64, 60), "a plain blue square")
SMALL = Figure(
    Attributes("circle", "red", "bordered", "white"), (80, 76, 116, 110), "a red circle with a white border"
)
SCENE = Scene(128, "grey", (LARGE, SMALL), "a square and a circle on a grey background")
SETTINGS = DetailPass(longest=40)


def test_figures_up_to_a_size_are_sampled_again() -> None:
    assert [SETTINGS.takes(figure) for figure in SCENE.figures] == [False, True]
    assert [DetailPass(longest=36).takes(SMALL), DetailPass(longest=35).takes(SMALL)] == [True, False]


@pytest.mark.slow
def test_only_the_boxes_of_small_figures_change_and_their_figures_become_right() -> None:
    drawn = draw(Scene(128, "grey", (LARGE, Figure(Attributes("circle", "red"), SMALL.box_px))))
    painter = Painter(ROOT / "demo", steps=8)
    (picture,) = redraw_small_figures(painter, drawn[None], [SCENE], DetailPass(longest=40, denoise=0.7))
    changed = (picture != drawn).any(axis=2)
    x0, y0, x1, y1 = SMALL.box_px
    assert changed[y0:y1, x0:x1].any()
    changed[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4] = False  # and its soft edges
    assert not changed.any()
    before, after = (small_figures(each[None], [SCENE], SETTINGS) for each in (drawn, picture))
    assert [score.has("success") for score in (*before, *after)] == [False, True]
    assert compare(before, after, "success") == Change(figures=1, before=0, after=1, gained=1, lost=0)


def test_drawings_of_the_scene_itself_are_right() -> None:
    scores = small_figures(draw(SCENE)[None], [SCENE], SETTINGS)
    assert [score.has("drawn_well") for score in scores] == [True]
    assert small_figures(draw(SCENE)[None], [SCENE], DetailPass(longest=10)) == []


def test_the_table_counts_gains_and_losses() -> None:
    change = Change(figures=8, before=2, after=5, gained=4, lost=1)
    lines = table({"held-out": {"success": change}}).splitlines()
    assert lines[2] == "| held-out | 8 | judged right | 25.0 % | **62.5 %** | 4 | 1 |"


@pytest.mark.slow
def test_the_command_writes_a_page(tmp_path: Path) -> None:
    output = tmp_path / "results" / "detail.md"
    few = ("--layouts", "1", "--steps", "1", "--longest", "60", "--output", str(output))
    done = subprocess.run(
        [sys.executable, "-m", "shapes.detail", *few], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = output.read_text()
    assert "--layouts 1 --longest 60 --denoise 0.5" in page
    assert "| held-out |" in page
    assert "| smaller figures |" in page
    assert done.stdout.strip() in page


def test_a_wrong_denoise_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shapes.detail", "--denoise", "0", "--output", str(tmp_path / "page.md")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--denoise is 0.0; expected a number above 0" in done.stderr
    assert list(tmp_path.iterdir()) == []
