"""kill -9 at any moment: the run resumes and ends with the weights of an undisturbed run."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_runs import CONFIG, assert_same, result

from tiny_models import Toy
from training.loop import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fresh_accelerate")]

KILLS = 20
SAVING = replace(CONFIG, steps=80, save_every=2, accumulation=2)
MOMENTS = (  # what a run calls while it trains and saves
    (torch.Tensor, "backward"),
    (torch, "save"),
    (os, "fsync"),
    (Path, "replace"),
    (shutil, "rmtree"),
)


def kill_at(call: int) -> None:
    """End this process at the given call of any of MOMENTS, before or after it acts."""
    calls = 0

    def counted(action: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            done = action(*given, **named) if calls == call and call % 2 else None
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return done or action(*given, **named)

        return act

    for owner, name in MOMENTS:
        setattr(owner, name, counted(getattr(owner, name)))


def run(folder: Path, call: int) -> None:
    kill_at(call)
    train(Toy(), SAVING, folder)


def test_a_run_killed_twenty_times_ends_with_the_same_weights(tmp_path: Path) -> None:
    train(Toy(), SAVING, tmp_path / "whole")
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    moments = random.Random(0)
    context = multiprocessing.get_context("fork")
    for number in range(KILLS):
        # Early enough that twenty kills do not reach the end, late enough for progress.
        process = context.Process(target=run, args=(tmp_path / "killed", moments.randint(1, 40)))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, number
    train(Toy(), SAVING, tmp_path / "killed")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "killed"))
