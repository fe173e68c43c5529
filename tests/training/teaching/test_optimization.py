"""Learning rates and optimizers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.optimization import get_scheduler

from training.config import LoopConfig
from training.optimization.optimizer import new_optimizer
from training.optimization.schedule import LearningRate

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 23: 1.0}),
        ("cosine", {0: 0.25, 3: 1.0, 4: 1.0, 14: 0.5, 24: 0.0}),
        ("linear", {0: 0.25, 3: 1.0, 4: 1.0, 14: 0.5, 19: 0.25, 24: 0.0}),
        ("cosine_with_restarts", {3: 1.0, 4: 1.0, 9: 0.5, 14: 1.0, 19: 0.5}),
        ("polynomial", {0: 0.25, 4: 1.0, 14: 0.25, 24: 0.0005}),
    ],
)
def test_the_learning_rate_schedule(schedule: Any, rates: dict[int, float]) -> None:
    """A warmup of four steps, the first of which already learns, then a decay over twenty."""
    config = LoopConfig(steps=24, learning_rate=2e-4, warmup=4, schedule=schedule, cycles=2, power=2.0)
    rate = LearningRate(config)
    assert {step: rate(step) / 2e-4 for step in rates} == pytest.approx(rates, abs=1e-3)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_the_decay_is_diffusers_own(schedule: Any) -> None:
    config = LoopConfig(steps=30, learning_rate=0.1, warmup=5, schedule=schedule, cycles=3, power=1.5)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    reference = get_scheduler(schedule, optimizer, None, 5, 30, num_cycles=3, power=1.5)
    rate = LearningRate(config)
    for step in range(30):
        if step >= 5:
            assert rate(step) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_a_time_limit_stretches_every_decay() -> None:
    config = LoopConfig(steps=1000, learning_rate=1.0, warmup=10, schedule="linear", minutes=1.0)
    rate = LearningRate(config)
    assert rate(9, 50.0) == 1.0  # the warmup counts steps
    assert rate(20, 45.0) == pytest.approx(0.25)
    assert rate(505, 6.0) == pytest.approx(0.5)
    assert rate(20, 99.0) == 0.0


def test_a_polynomial_above_its_end_only() -> None:
    with pytest.raises(ValueError, match=r"learning_rate is 1e-08; polynomial ends at 1e-07"):
        LoopConfig(steps=1, learning_rate=1e-8, schedule="polynomial")


def test_the_8_bit_optimizer_is_bitsandbytes_or_one_clear_line() -> None:
    weights = [torch.nn.Parameter(torch.zeros(8192))]
    config = LoopConfig(steps=1, optimizer="adamw8bit", learning_rate=0.5, betas=(0.8, 0.9))
    try:
        import bitsandbytes
    except ModuleNotFoundError:
        with pytest.raises(ValueError, match=r"needs the package bitsandbytes. Run pip install") as raised:
            new_optimizer(weights, config, CPU)
        assert "\n" not in str(raised.value)
        return
    optimizer = new_optimizer(weights, config, CPU)
    assert isinstance(optimizer, bitsandbytes.optim.AdamW8bit)
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (0.5, (0.8, 0.9))


def test_adamw_has_the_configs_values() -> None:
    weights = [torch.nn.Parameter(torch.zeros(3))]
    config = LoopConfig(steps=1, learning_rate=0.5, betas=(0.8, 0.9), weight_decay=0.3)
    optimizer = new_optimizer(weights, config, CPU)
    assert type(optimizer) is torch.optim.AdamW
    values = {name: optimizer.defaults[name] for name in ("lr", "betas", "weight_decay")}
    assert values == {"lr": 0.5, "betas": (0.8, 0.9), "weight_decay": 0.3}
