"""The training loop: batches, gradients, learning rate, signals, loss log."""

from __future__ import annotations

import csv
import math
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from toy_runs import CONFIG, assert_same, result

from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import Toy
from training.loop import train
from training.optimization.schedule import LearningRate
from training.processes.launch import set_precision

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.mark.slow
def test_batches_come_in_order_and_once_each_with_and_without_workers(tmp_path: Path) -> None:
    for workers in (0, 2):
        stage = Toy()
        train(stage, replace(CONFIG, steps=5, accumulation=3, workers=workers), tmp_path / str(workers))
        assert stage.objective.calls == list(range(15))
    assert_same(result(tmp_path / "0"), result(tmp_path / "2"))


class Handlers(Dataset[Any]):
    """Batches whose number reports the signal handlers of the data loader process."""

    def __getitem__(self, number: int) -> tuple[str, Tensor]:
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return f"{ignored} {signal.getsignal(signal.SIGTERM) is signal.SIG_DFL}", torch.zeros(1, 3)


@pytest.mark.slow
def test_data_loader_processes_ignore_ctrl_c_and_obey_sigterm(tmp_path: Path) -> None:
    stage = Toy()
    stage.batches = Handlers()
    train(stage, replace(CONFIG, steps=1, workers=1), tmp_path)
    assert stage.objective.calls == ["True True"]


class Seeds(Dataset[Any]):
    """Batches whose number reports the random state of the data loader process."""

    def __getitem__(self, number: int) -> tuple[tuple[int, ...], Tensor]:
        values = (torch.rand(()).item(), float(np.random.rand()), random.random())
        return (number, *values), torch.zeros(1, 3)


@pytest.mark.slow
def test_data_loader_processes_are_seeded_by_the_run(tmp_path: Path) -> None:
    """The batches are made from their numbers; this is for code in a data set that forgets to."""
    seen = []
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        torch.manual_seed(len(seen))
        stage = Toy()
        stage.batches = Seeds()
        train(stage, replace(CONFIG, steps=4, workers=2, seed=seed), tmp_path / name)
        seen.append(stage.objective.calls)
    assert seen[0] == seen[1]
    assert all(a != b for a, b in zip(seen[0], seen[2], strict=True))


def test_accumulation_averages_the_gradients_of_the_batches(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, steps=1, warmup=0, accumulation=3, max_gradient_norm=1e9), tmp_path)
    reference = Toy().objective
    sum(reference(stage.batches[number], seeded_generator(0, number)) / 3 for number in range(3)).backward()
    stored = torch.load(tmp_path / "state" / "optimizer.bin")["state"][0]["exp_avg"]
    # AdamW's first moment is 0.1 gradient.
    assert torch.allclose(stored / 0.1, reference.line.weight.grad, rtol=1e-5)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, steps=1, max_gradient_norm=0.01), tmp_path)
    moments = [
        entry["exp_avg"] for entry in torch.load(tmp_path / "state" / "optimizer.bin")["state"].values()
    ]
    assert math.isclose(torch.cat([moment.flatten() for moment in moments]).norm() / 0.1, 0.01, rel_tol=1e-3)


def test_the_optimizer_uses_the_schedule(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=4), tmp_path)
    (group,) = torch.load(tmp_path / "state" / "optimizer.bin")["param_groups"]
    assert group["lr"] == LearningRate(CONFIG)(3) == pytest.approx(0.05 * 4 / 5)


def test_the_loss_log_has_the_mean_of_every_ten_steps(tmp_path: Path) -> None:
    stage, losses = Toy(), []
    stage.objective.register_forward_hook(lambda _, __, loss: losses.append(loss.item()))
    train(stage, replace(CONFIG, sample_every=10), tmp_path)
    with (tmp_path / "losses.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "loss"]
    assert [(int(step), float(loss)) for step, loss in rows[1:]] == [
        (10, pytest.approx(sum(losses[:10]) / 10, abs=1e-6)),
        (20, pytest.approx(sum(losses[10:20]) / 10, abs=1e-6)),
    ]
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        "step_000010.png",
        "step_000020.png",
        "step_000027.png",
    ]


def test_fp16_on_the_cpu_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fp16.*bf16"):
        train(Toy(), replace(CONFIG, mixed_precision="fp16"), tmp_path)


@pytest.mark.parametrize("tf32", [True, False])
def test_a_gpu_multiplies_float32_matrices_as_the_config_says(
    tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer, the cache and the bench set this. It needs no GPU."""
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not tf32)
    try:
        set_precision(torch.device("cuda"), replace(CONFIG, tf32=tf32))
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert torch.backends.cudnn.allow_tf32 == tf32
        set_precision(torch.device("cpu"), replace(CONFIG, tf32=not tf32))  # leaves a CPU as it is
        assert torch.backends.cudnn.allow_tf32 == tf32
    finally:
        torch.set_float32_matmul_precision(before)
