"""A loss or gradient that is not finite: the step is skipped, counted and said, and nothing bad is saved."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_runs import CONFIG, assert_same, request_stop, result, saved_step

from tiny_models import Toy
from training.loop import train

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

SHORT = replace(CONFIG, save_every=1000, log_every=1)


class BadLosses(Toy):
    """The losses of some batches are not finite. bad: their numbers; value: what the losses become."""

    def __init__(self, bad: tuple[int, ...], value: float = math.nan) -> None:
        super().__init__()

        def spoil(_: Any, given: tuple[Any, ...], loss: Tensor) -> Tensor:
            return loss * value if given[0][0] in bad else loss

        self.objective.register_forward_hook(spoil)


class BadGradients(Toy):
    """Finite losses with gradients that are not."""

    def __init__(self, bad: tuple[int, ...]) -> None:
        super().__init__()

        def spoil(_: Any, given: tuple[Any, ...], loss: Tensor) -> Tensor:
            if given[0][0] in bad:
                loss.register_hook(lambda gradient: gradient * math.inf)
            return loss

        self.objective.register_forward_hook(spoil)


@pytest.fixture(params=[False, True], ids=["plain", "fused"])
def fused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With the fused AdamW of a GPU too, which skips steps by itself."""
    monkeypatch.setattr("training.optimization.optimizer.FAST_ADAM", ("cpu",) if request.param else ())
    return request.param


def seen(stage: Toy, folder: Path, **changes: Any) -> list[Tensor]:
    """The weights before every batch and after the run."""
    train(stage, replace(SHORT, **changes), folder)
    return [*stage.objective.seen, stage.objective.line.weight.detach().clone()]


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize(
    "make", [BadLosses, lambda bad: BadLosses(bad, math.inf), BadGradients], ids=["nan", "inf", "gradient"]
)
def test_a_bad_step_is_skipped_and_the_next_ones_train(
    tmp_path: Path, make: Callable[[tuple[int, ...]], Toy], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        weights = seen(make((3, 4, 8)), tmp_path, steps=10)
    assert all(weight.isfinite().all() for weight in weights)
    unchanged = [step for step in range(10) if torch.equal(weights[step], weights[step + 1])]
    assert unchanged == [3, 4, 8]
    progress = torch.load(tmp_path / "state" / "custom_checkpoint_0.pkl")
    assert (progress["step"], progress["skipped"]) == (10, 3)
    counts = [message.rpartition("(")[2] for message in caplog.messages]
    assert counts == ["1 in all).", "2 in all).", "3 in all)."]


@pytest.mark.usefixtures("fused")
def test_one_bad_batch_skips_the_whole_step_of_an_accumulation(tmp_path: Path) -> None:
    weights = seen(BadLosses((4,)), tmp_path, steps=4, accumulation=3)[::3]
    assert [step for step in range(4) if torch.equal(weights[step], weights[step + 1])] == [1]


@pytest.mark.usefixtures("fused")
def test_skipped_steps_leave_no_trace_in_the_optimizer(tmp_path: Path) -> None:
    """The moments and the step count, by which AdamW corrects them."""
    train(BadLosses((1, 2)), replace(SHORT, steps=3), tmp_path)
    optimizer = torch.load(tmp_path / "state" / "optimizer.bin")["state"]
    for entry in optimizer.values():
        assert entry["step"].item() == 1
        assert entry["exp_avg"].isfinite().all()


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("log_every", [1, 10])
def test_too_many_in_a_row_stop_and_keep_the_last_state(tmp_path: Path, log_every: int) -> None:
    config = replace(CONFIG, save_every=2, log_every=log_every, max_skipped=3)
    message = r"of .* was not finite in [4-9] steps in a row, up to step \d+\. The last saved state is kept\."
    with pytest.raises(ValueError, match=message):
        train(BadLosses(tuple(range(5, 27))), config, tmp_path)
    step = saved_step(tmp_path)
    assert step in (6, 8)
    train(Toy(), config, tmp_path)  # the cause is gone
    assert saved_step(tmp_path) == 27


def test_fewer_in_a_row_do_not_stop(tmp_path: Path) -> None:
    bad = tuple(number for number in range(27) if number % 4)
    train(BadLosses(bad), replace(SHORT, max_skipped=3, log_every=5), tmp_path)
    assert saved_step(tmp_path) == 27


def test_a_resumed_run_keeps_the_count(tmp_path: Path) -> None:
    bad = (2, 13)
    train(BadLosses(bad), CONFIG, tmp_path / "whole")

    class Stopping(BadLosses):
        def __init__(self) -> None:
            super().__init__(bad)
            self.objective.register_forward_pre_hook(
                lambda _, given: request_stop() if given[0][0] == 6 else None
            )

    with pytest.raises(KeyboardInterrupt):
        train(Stopping(), CONFIG, tmp_path / "stopped")
    train(BadLosses(bad), CONFIG, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    """Whatever made them so."""

    class Spoiled(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.objective.register_forward_pre_hook(self.spoil)

        def spoil(self, _: Any, given: tuple[Any, ...]) -> None:
            if given[0][0] == 15:
                self.objective.line.bias.data.fill_(math.inf)

    with pytest.raises(ValueError, match=r"Nothing is saved: NaN or infinite weights in line\.bias"):
        train(Spoiled(), CONFIG, tmp_path)
    assert saved_step(tmp_path) == 9
    assert torch.load(tmp_path / "weights" / "line.pt").isfinite().all()


def test_the_loss_log_has_the_mean_of_the_finite_losses(tmp_path: Path) -> None:
    stage, losses = BadLosses((3, *range(10, 20))), []
    stage.objective.register_forward_hook(lambda _, __, loss: losses.append(loss.item()))
    train(stage, replace(CONFIG, save_every=1000, steps=20), tmp_path)
    rows = [line.split(",") for line in (tmp_path / "losses.csv").read_text().split()]
    finite = [loss for loss in losses[:10] if math.isfinite(loss)]
    assert float(rows[1][1]) == pytest.approx(sum(finite) / 9, abs=1e-6)
    assert rows[2] == ["20", "nan"]
    assert (tmp_path / "loss.png").exists()
