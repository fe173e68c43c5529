"""Trainings on shards: killed and resumed, and moved between a folder and its shards."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import own_runs
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

import training.__main__ as command
from tiny_models import sd

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fresh_accelerate")]


@pytest.fixture
def data(tmp_path: Path, words: Path) -> Path:
    """A folder with 12 pictures, their six shards, and a tiny base model."""
    own_runs.draw(tmp_path / "pictures", 12)
    command.main(["shard", str(tmp_path / "pictures"), str(tmp_path / "shards"), "--samples", "2"])
    sd(words).save_pretrained(tmp_path / "base")
    return tmp_path


def train(data: Path, name: str, *settings: str) -> dict[str, torch.Tensor]:
    """The weights of a run on the shards, which is resumed if it is there."""
    AcceleratorState._reset_state(reset_partial_state=True)
    config = own_runs.write_config(data / name / "own.yaml", data / "base", data / "shards")
    own_runs.train(config, "adapter.loop.save_every=1", "adapter.samples=1", *settings)
    return load_file(data / name / "run" / "adapter" / "weights" / "ifadapter.safetensors")


def killed(data: Path, name: str, call: int, *settings: str) -> None:
    """A run in another process, killed at a call of the backward pass."""

    def run() -> None:
        calls = iter(range(1, 1000))
        backward = torch.Tensor.backward

        def act(*given: Any, **named: Any) -> None:
            if next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            backward(*given, **named)

        torch.Tensor.backward = act  # type: ignore[method-assign]
        train(data, name, *settings)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


@pytest.mark.parametrize("source", ["disk", "pipe"])
def test_a_killed_run_on_shards_ends_with_the_same_weights(data: Path, source: str) -> None:
    url = f"pipe:cat '{data}/shards/index.jsonl'"
    more = [f"folder.path={url}", f"folder.shard_cache={data / 'cache'}"] if source == "pipe" else []
    settings = ("folder.shuffle=2", *more)
    whole = train(data, "whole", *settings)
    killed(data, "killed", 3, *settings)
    shutil.rmtree(data / "cache", ignore_errors=True)
    assert_same(train(data, "killed", *settings), whole)


def test_a_run_moves_from_its_folder_to_the_shards(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = train(data, "whole", f"folder.path={data / 'pictures'}")
    killed(data, "moved", 3, f"folder.path={data / 'pictures'}")
    with pytest.raises(SystemExit):
        train(data, "moved", "folder.shuffle=2")  # another order
    assert "has other settings: pictures 9 with the hash" in capsys.readouterr().err
    assert_same(train(data, "moved"), whole)
