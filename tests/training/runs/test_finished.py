"""The end of a run: a finished run that was killed at its last step writes what is missing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from toy_runs import CONFIG, assert_same, result, saved_step

from tiny_models import Toy
from training.loop import train
from training.processes.group import Processes

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

LAST = f"step_{CONFIG.steps:06d}.png"


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KilledAtSave(Toy):
    """Killed at the given save of its weights, before or after they are written."""

    def __init__(self, number: int, written: bool) -> None:
        super().__init__()
        self.left, self.written = number, written

    def save(self, folder: Path) -> None:
        self.left -= 1
        if self.left or self.written:
            super().save(folder)
        if not self.left:
            kill()


class KilledAtSheet(Toy):
    def sheet(self, generator: torch.Generator, processes: Processes) -> Image.Image:
        kill()
        return super().sheet(generator, processes)


def run_killed(stage: Toy, folder: Path) -> None:
    """Train in another process, which is killed."""
    AcceleratorState._reset_state(reset_partial_state=True)
    process = multiprocessing.get_context("fork").Process(target=train, args=(stage, CONFIG, folder))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert saved_step(folder) == CONFIG.steps


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, Any]:
    train(Toy(), CONFIG, tmp_path / "whole")
    return result(tmp_path / "whole")


@pytest.mark.parametrize("written", [False, True])
def test_a_run_killed_between_its_last_state_and_its_weights_is_completed(
    tmp_path: Path, whole: dict[str, Any], written: bool
) -> None:
    folder = tmp_path / "killed"
    run_killed(KilledAtSave(3, written), folder)
    assert not (folder / "samples" / LAST).exists()
    stage = Toy()
    train(stage, CONFIG, folder)
    assert not stage.objective.calls
    assert_same(result(folder), whole)
    assert (folder / "samples" / LAST).exists()


def test_a_run_killed_before_its_last_sheet_is_completed(tmp_path: Path, whole: dict[str, Any]) -> None:
    folder = tmp_path / "killed"
    run_killed(KilledAtSheet(), folder)
    train(Toy(), CONFIG, folder)
    assert_same(result(folder), whole)
    with Image.open(folder / "samples" / LAST) as sheet:
        assert sheet.size == (4, 4)


def test_a_complete_run_writes_nothing_again(tmp_path: Path) -> None:
    train(Toy(), CONFIG, tmp_path)
    marks = (tmp_path / "weights" / "line.pt", tmp_path / "samples" / LAST)
    for path in marks:
        path.write_bytes(b"as it was")
    train(Toy(), CONFIG, tmp_path)
    assert [path.read_bytes() for path in marks] == [b"as it was"] * 2


@pytest.mark.parametrize("step", [None, "", "9\n"])
def test_weights_of_another_or_an_unknown_step_are_replaced(
    tmp_path: Path, whole: dict[str, Any], step: str | None
) -> None:
    """None: a run of an earlier version."""
    train(Toy(), CONFIG, tmp_path / "run")
    (tmp_path / "run" / "weights" / "line.pt").write_bytes(b"older")
    marker = tmp_path / "run" / "weights_step.txt"
    assert marker.read_text() == "27\n"
    marker.unlink()
    if step is not None:
        marker.write_text(step)
    train(Toy(), CONFIG, tmp_path / "run")
    assert_same(result(tmp_path / "run"), whole)
    assert marker.read_text() == "27\n"


def test_the_end_of_a_run_whose_time_is_used_up_is_completed_too(tmp_path: Path) -> None:
    now = [0.0]
    stage = Toy()
    stage.objective.register_forward_pre_hook(lambda *_: now.__setitem__(0, now[0] + 10))
    config = replace(CONFIG, steps=10_000, minutes=1.0)
    train(stage, config, tmp_path, lambda: now[0])
    weights = torch.load(tmp_path / "weights" / "line.pt")
    (tmp_path / "weights" / "line.pt").unlink()
    (tmp_path / "weights").rmdir()
    (tmp_path / "samples" / "step_000006.png").unlink()
    train(Toy(), config, tmp_path, lambda: now[0])
    assert torch.equal(torch.load(tmp_path / "weights" / "line.pt"), weights)
    assert (tmp_path / "samples" / "step_000006.png").exists()
