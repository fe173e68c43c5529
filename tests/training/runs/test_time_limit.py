"""Time limits of a stage, with a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_runs import CONFIG, saved_step

from tiny_models import Toy
from training.config import LoopConfig
from training.loop import train
from training.optimization.schedule import LearningRate

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

LIMITED = replace(CONFIG, steps=10_000, minutes=2.0, log_every=5)


class Clock:
    """Stands still but for each batch, which takes 10 seconds."""

    def __init__(self, stage: Toy) -> None:
        self.seconds = 1000.0
        stage.objective.register_forward_pre_hook(lambda *_: self.advance())

    def advance(self) -> None:
        self.seconds += 10

    def __call__(self) -> float:
        return self.seconds


def rate_of_last_step(folder: Path) -> float:
    return torch.load(folder / "state" / "optimizer.bin")["param_groups"][0]["lr"]


def test_a_stage_ends_when_its_time_is_used_up(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, LIMITED, tmp_path, Clock(stage))
    assert len(stage.objective.calls) == saved_step(tmp_path) == 12
    assert list((tmp_path / "samples").iterdir())
    # The last step started after 110 of 120 seconds.
    assert rate_of_last_step(tmp_path) == LearningRate(LIMITED)(11, 110.0)
    train(stage, LIMITED, tmp_path, Clock(stage))  # nothing is left to do
    assert len(stage.objective.calls) == 12


def test_a_stage_with_a_limit_ends_earlier_when_its_steps_are_done(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(LIMITED, steps=4), tmp_path, Clock(stage))
    assert saved_step(tmp_path) == 4


def test_time_counts_over_resumed_runs(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(LIMITED, minutes=1.0), tmp_path, Clock(stage))
    assert saved_step(tmp_path) == 6
    stage = Toy()
    train(stage, LIMITED, tmp_path, Clock(stage))
    assert len(stage.objective.calls) == 6
    assert saved_step(tmp_path) == 12


def test_the_learning_rate_follows_time_or_steps_whichever_is_further() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, schedule="cosine", minutes=1.0)
    rate = LearningRate(config)
    assert rate(0, 30.0) == pytest.approx(0.5)
    assert rate(50, 6.0) == pytest.approx(0.5)
    assert rate(10, 60.0) == 0.0
    assert rate(10, 999.0) == 0.0
    assert LearningRate(replace(config, minutes=0.0))(50, 999.0) == pytest.approx(0.5)


def test_a_loss_that_is_not_finite_ends_the_stage(tmp_path: Path) -> None:
    stage = Toy()
    stage.objective.line.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"was not finite in 5 steps in a row.*Lower learning_rate"):
        train(stage, replace(CONFIG, log_every=5, max_skipped=4), tmp_path)


def test_without_a_terminal_each_row_of_losses_is_a_line_of_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Toy()
    train(stage, LIMITED, tmp_path / "toy", Clock(stage))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("toy  step 5  loss ")
    assert first.endswith("0.1 steps/s")
    assert second.startswith("toy  step 10  loss ")
