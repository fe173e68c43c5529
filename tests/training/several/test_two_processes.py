"""Two processes, by DDP, FSDP and ZeRO: they train as one, and stop, resume, measure and draw like one."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import launched
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tiny_models import adapter_stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("fresh_accelerate")]

TWICE = replace(launched.CONFIG, accumulation=2)
TOLERANCE = 1e-5  # of a weight; five steps of 1e-3
no_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed"
)


@pytest.fixture(scope="module")
def one(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in one process that accumulates two batches."""
    folder = tmp_path_factory.mktemp("one") / "run"
    launched.run(words, folder, TWICE)
    return folder


@pytest.fixture(scope="module", params=["ddp", "fsdp", pytest.param("zero", marks=no_deepspeed)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def two(words: Path, tmp_path_factory: pytest.TempPathFactory, kind: str) -> Path:
    """A run in two processes."""
    return train(words, tmp_path_factory.mktemp(kind) / "run", kind)


@pytest.fixture(scope="module")
def stopped(words: Path, tmp_path_factory: pytest.TempPathFactory, kind: str) -> Path:
    """A run in two processes, of which the second got Ctrl-C in the third of five steps."""
    folder = tmp_path_factory.mktemp(kind) / "run"
    code, _, _ = launched.finish(
        launched.launch(words, folder, environment=launched.ENVIRONMENTS[kind], stop=5)
    )
    assert code != 0
    return folder


def train(words: Path, folder: Path, kind: str) -> Path:
    code, out, err = launched.finish(launched.launch(words, folder, environment=launched.ENVIRONMENTS[kind]))
    assert code == 0, err[-3000:]
    lines = out.splitlines()
    assert {line for line in lines if line.startswith("save:")} == {"save:0"}
    assert sum(line.startswith("run  step 4  loss ") for line in lines) == 1  # of one process only
    return folder


def weights(run: Path) -> dict[str, Tensor]:
    """The averaged weights, as they are used, and the raw ones."""
    return {
        **load_file(run / "weights" / "ifadapter.safetensors"),
        **load_file(run / "state" / "trained.safetensors"),
    }


def rows(run: Path, name: str) -> list[list[float]]:
    return [[float(value) for value in line.split(",")] for line in (run / name).read_text().split()[1:]]


def bands(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in line.items() if key.startswith(("loss_by", "train/", "tanh"))}
        for line in lines
        if "train/learning_rate" in line
    ]


def progress(run: Path) -> dict[str, Any]:
    return torch.load(run / "state" / "custom_checkpoint_0.pkl")


def test_two_processes_train_as_one_with_twice_the_accumulation(one: Path, two: Path, words: Path) -> None:
    """Also with a batch without instances in one process, and one that is not finite."""
    expected, found = weights(one), weights(two)
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    for name, tensor in found.items():
        assert torch.allclose(tensor, expected[name], rtol=0, atol=TOLERANCE), name
    start = adapter_stage(words).adapter.state_dict()
    assert max(float((expected[name] - start[name]).abs().max()) for name in start) > 1e-3
    assert progress(two)["skipped"] == progress(one)["skipped"] == 1
    ranks = sorted(path.name for path in (two / "state").glob("random_states_*"))
    assert ranks == ["random_states_0.pkl", "random_states_1.pkl"]


def test_their_metrics_are_those_of_one(one: Path, two: Path) -> None:
    """Losses are of the batches of both processes; held-out pictures are shared."""
    for name in ("losses.csv", "held_out.csv"):
        assert rows(two, name) == [pytest.approx(row, abs=1e-5) for row in rows(one, name)]
    for found, expected in zip(bands(two), bands(one), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


def test_their_sample_sheet_is_that_of_one(one: Path, two: Path) -> None:
    """Three layouts, of which the processes sample two and one."""
    sheets = [np.asarray(Image.open(run / "samples" / "step_000005.png"), np.int16) for run in (one, two)]
    assert sheets[0].shape == sheets[1].shape
    assert np.abs(sheets[0] - sheets[1]).max() <= 1  # rounding to 8 bits


def test_a_stop_of_one_process_ends_all_after_their_step(stopped: Path) -> None:
    assert progress(stopped)["step"] == 3
    assert len(progress(stopped)["losses"]) == 2  # of the third step, of both processes


def test_a_resumed_run_equals_an_uninterrupted_one(
    two: Path, stopped: Path, words: Path, tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    train(words, folder, kind)
    whole, resumed = weights(two), weights(folder)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for name in ("losses.csv", "held_out.csv"):
        assert (folder / name).read_bytes() == (two / name).read_bytes()


def test_another_number_of_processes_goes_on_from_the_state(
    one: Path, stopped: Path, words: Path, tmp_path: Path, kind: str
) -> None:
    """Except from DeepSpeed's, which names the reason."""
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    if kind == "zero":
        with pytest.raises(ValueError, match="saved with DeepSpeed"):
            launched.run(words, folder, TWICE)
        return
    launched.run(words, folder, TWICE)
    expected, found = weights(one), weights(folder)
    assert all(torch.allclose(found[name], expected[name], rtol=0, atol=TOLERANCE) for name in expected)
