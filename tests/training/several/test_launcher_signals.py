"""Ctrl-C to the launcher of two processes, which passes it on: they run in sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import launched
import pytest
import torch

from training.stop_requests import FIRST_OF_SEVERAL, SECOND

pytestmark = pytest.mark.slow

REPEAT_SECONDS = 2.0  # longer than ``SAME_SECONDS``


def saved_step(run: Path) -> int:
    return torch.load(run / "state" / "custom_checkpoint_0.pkl")["step"]


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    assert any(text in line for line in process.stdout)


def test_ctrl_c_ends_all_with_a_saved_state(words: Path, tmp_path: Path) -> None:
    endless = replace(
        launched.CONFIG, steps=10**6, save_every=10**6, held_out_every=10**6, sample_every=10**6
    )
    process = launched.launch(words, tmp_path / "run", endless)
    wait_for_line(process, "run  step 2  loss ")
    os.killpg(process.pid, signal.SIGINT)
    code, _, errors = launched.finish(process)
    assert code != 0
    assert errors.count(FIRST_OF_SEVERAL.strip()) == 1  # of one process
    assert SECOND.strip() not in errors
    assert saved_step(tmp_path / "run") >= 2
    assert (tmp_path / "run" / "weights" / "ifadapter.safetensors").exists()


def test_a_second_ctrl_c_leaves_processes_that_hang(words: Path, tmp_path: Path) -> None:
    """One process waits for its data, the other for the first one."""
    process = launched.launch(words, tmp_path / "run", hang=6)
    wait_for_line(process, "hangs")
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(REPEAT_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    _, _, errors = launched.finish(process)
    assert FIRST_OF_SEVERAL.strip() in errors
    assert SECOND.strip() in errors
    assert saved_step(tmp_path / "run") == 2  # the last one, whole
