"""``python -m shapes.evidence``: a whole run with few layouts and one step."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifadapter_diffusers.contact_sheet import TITLE_PX
from shapes.drawing import draw
from shapes.evidence.layouts.layout_sets import LayoutSet
from shapes.evidence.questions import STUDIES
from shapes.evidence.report.page import BEGIN, END
from shapes.models.config import load_shapes_config

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shapes.evidence", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_run_writes_numbers_plots_the_page_and_the_table(tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "docs"
    readme.write_text(f"{BEGIN}\n{END}\n")
    few = ("--studies", "tokens", "--layouts", "2", "--steps", "1", "--processes", "1")
    places = ("--output", str(output), "--work", str(tmp_path / "work"), "--update", str(readme))
    done = run(*few, *places)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tokens: ")
    assert {path.relative_to(output).as_posix() for path in output.rglob("*.*")} == {
        "evidence.md",
        "evidence/results.json",
        "evidence/results.json.lock",
        "evidence/tokens.png",
        "evidence/tokens_pictures.png",
    }
    sheet = Image.open(output / "evidence" / "tokens_pictures.png").convert("RGB")
    assert sheet.height == 4 * (TITLE_PX + 128)  # the drawings, and three conditions
    drawing = LayoutSet().scene(load_shapes_config().shapes.world, 0)
    error = np.asarray(sheet.crop((0, TITLE_PX, 128, TITLE_PX + 128)), float) - draw(drawing)
    assert np.abs(error).mean() < 3  # 256 colours
    report = json.loads((output / "evidence" / "results.json").read_text())
    assert report["studies"]["tokens"]["settings"]["layouts"] == 2
    assert "Switched off afterwards" in readme.read_text()
    page = (output / "evidence.md").read_text()
    assert "**Not run yet**" in page

    (output / "evidence.md").unlink()
    assert run("--report", "--output", str(output)).returncode == 0
    assert (output / "evidence.md").read_text() == page


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals")
def test_judging_processes_end_with_a_killed_command() -> None:
    script = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from shapes.evidence.processes import follow_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=follow_parent) as judges:
        print(judges.submit(os.getpid).result(), flush=True)
        sys.stdin.read()
"""
    pipe, environment = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdin=pipe, stdout=pipe
    ) as command:
        assert command.stdout is not None
        assert int(command.stdout.readline()) != command.pid
        command.kill()
        # The judge holds the other end of the pipe too, which ends when both processes have ended.
        ended, _, _ = select.select([command.stdout], [], [], 60)
        assert ended
        assert command.stdout.read() == b""


def test_all_studies_are_listed() -> None:
    done = run("--list", "--studies", "all")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(STUDIES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--studies", "everything"), "no everything; expected some of queries"),
        (("--layouts", "1"), "--layouts is 1; expected at least 2"),
        (("--layouts", "2000"), "--layouts is 2000; expected at most 1000"),
        (("--pool", "8"), "--pool is 8; expected at least --train-batch, 160"),
        (("--update", "LICENSE"), "LICENSE has no lines"),
        (("--demo", "nowhere"), "nowhere/ifadapter.safetensors"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_painted(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(*arguments, "--output", str(tmp_path / "out"), "--work", str(tmp_path / "work"))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "work").exists()
