"""The loop: every run can be stopped and goes on as if it had not been, and what it keeps is the average of its weights."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import Toy
from training.loop import LoopConfig, learning_rate, train

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

CONFIG = LoopConfig(
    steps=27, learning_rate=0.05, warmup=5, schedule="cosine", ema_decay=0.5, save_every=9, sample_every=1000
)


class Stopping(Toy):
    """Something happens at the batch of a number."""

    def __init__(self, at: int, event: Any) -> None:
        super().__init__()
        self.objective.register_forward_pre_hook(lambda _, given: event() if given[0][0] == at else None)


def crash() -> None:
    raise RuntimeError("power cut")


def result(folder: Path) -> dict[str, Any]:
    """All that a run leaves: weights, their average, the optimizer, and the losses to the letter."""
    optimizer = torch.load(folder / "state" / "optimizer.bin")
    average = torch.load(folder / "state" / "custom_checkpoint_1.pkl")
    return {
        **load_file(folder / "state" / "trained.safetensors"),
        "line": torch.load(folder / "weights" / "line.pt"),
        **{f"average {number}": tensor for number, tensor in enumerate(average["shadow_params"])},
        **{
            f"optimizer {number} {key}": value
            for number, entry in optimizer["state"].items()
            for key, value in entry.items()
        },
        "losses": (folder / "losses.csv").read_bytes(),
        "progress": torch.load(folder / "state" / "custom_checkpoint_0.pkl"),
    }


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]) if isinstance(value, Tensor) else value == b[key], key


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path, accumulation: int, number: int) -> None:
    config = replace(CONFIG, accumulation=accumulation)
    train(Toy(), config, tmp_path / "whole")
    for at in (12 * accumulation, 20 * accumulation - 1):  # in the first, and in the last batch of a step
        with pytest.raises(KeyboardInterrupt):
            train(Stopping(at, lambda: os.kill(os.getpid(), number)), config, tmp_path / "stopped")
    train(Toy(), config, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_the_step_is_finished_before_a_run_stops(tmp_path: Path) -> None:
    stage = Stopping(25, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)  # of a process in the background it may be another than usual
    with pytest.raises(KeyboardInterrupt):
        train(stage, replace(CONFIG, accumulation=2), tmp_path)
    assert len(stage.objective.calls) == 26
    assert step_of(tmp_path) == 13
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_that_crashed_goes_on_from_what_it_saved_last(tmp_path: Path, accumulation: int) -> None:
    config = replace(CONFIG, accumulation=accumulation)
    train(Toy(), config, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        train(Stopping(13 * accumulation - 1, crash), config, tmp_path / "stopped")
    assert step_of(tmp_path / "stopped") == 9
    train(Toy(), config, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    config = replace(CONFIG, schedule="constant")
    train(Toy(), config, tmp_path / "whole")
    for steps in (13, 13, 27):  # the second finds nothing to do
        train(Toy(), replace(config, steps=steps), tmp_path / "longer")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "longer"))


def test_a_run_can_go_on_with_another_accumulation(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=13), tmp_path)
    stage = Toy()
    train(stage, replace(CONFIG, accumulation=2), tmp_path)
    assert stage.objective.calls == list(range(26, 54))
    pairs = list(zip(stage.objective.seen[::2], stage.objective.seen[1::2], strict=True))
    assert all(
        torch.equal(first, second) for first, second in pairs
    )  # the batches of a step see the same weights
    assert not torch.equal(pairs[0][1], pairs[1][0])


@pytest.mark.parametrize("left", ["state.old", "state"])
def test_a_run_that_died_while_it_saved_goes_on(tmp_path: Path, left: str) -> None:
    train(Toy(), CONFIG, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(RuntimeError):
        train(Stopping(13, crash), CONFIG, stopped)
    (stopped / "state").rename(stopped / left)
    (stopped / "state.new").mkdir()
    if left == "state":
        (stopped / "state.old").mkdir()
        (stopped / "state.old" / "rest").touch()
    stage = Toy()
    train(stage, CONFIG, stopped)
    assert stage.objective.calls == list(range(9, 27))
    assert_same(result(tmp_path / "whole"), result(stopped))
    assert {path.name for path in stopped.iterdir()} == {
        "state",
        "weights",
        "samples",
        "losses.csv",
        "loss.png",
    }


def test_states_without_losses_are_read(tmp_path: Path) -> None:
    """As runs of earlier versions left them."""
    train(Toy(), replace(CONFIG, steps=13), tmp_path)
    torch.save({"step": 13}, tmp_path / "state" / "custom_checkpoint_0.pkl")
    train(Toy(), CONFIG, tmp_path)
    assert step_of(tmp_path) == 27


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=1), tmp_path)
    other = Toy()
    other.objective.line = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="another model.*remove that folder"):
        train(other, CONFIG, tmp_path)


def test_batches_come_in_order_each_once_also_from_workers(tmp_path: Path) -> None:
    for workers in (0, 2):
        stage = Toy()
        train(stage, replace(CONFIG, steps=5, accumulation=3, workers=workers), tmp_path / str(workers))
        assert stage.objective.calls == list(range(15))
    assert_same(result(tmp_path / "0"), result(tmp_path / "2"))


def test_ctrl_c_leaves_workers_at_work(tmp_path: Path) -> None:
    """A terminal sends it to all processes of the run."""
    config = replace(CONFIG, accumulation=4, workers=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(Toy(), config, whole)

    def interrupt_all() -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(Stopping(40, interrupt_all), config, stopped)
    assert step_of(stopped) == 11
    train(Toy(), config, stopped)
    assert_same(result(whole), result(stopped))


class Handlers(Dataset[Any]):
    """Points from a worker that tells how it takes signals."""

    def __getitem__(self, number: int) -> tuple[str, Tensor]:
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return f"{ignored} {signal.getsignal(signal.SIGTERM) is signal.SIG_DFL}", torch.zeros(1, 3)


def test_workers_leave_ctrl_c_to_the_training_and_can_be_ended(tmp_path: Path) -> None:
    stage = Toy()
    stage.batches = Handlers()
    train(stage, replace(CONFIG, steps=1, workers=1), tmp_path)
    assert stage.objective.calls == ["True True"]


def test_only_what_asks_for_it_is_trained_and_stored(tmp_path: Path) -> None:
    stage = Toy()
    before = {name: tensor.clone() for name, tensor in stage.objective.state_dict().items()}
    train(stage, CONFIG, tmp_path)
    after = stage.objective.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "line.weight",
        "line.bias",
    }
    assert load_file(tmp_path / "state" / "trained.safetensors").keys() == {"line.weight", "line.bias"}


def test_the_average_of_the_weights_is_what_is_kept(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, ema_decay=0.4), tmp_path)
    raw = load_file(tmp_path / "state" / "trained.safetensors")["line.weight"]
    average = stage.objective.seen[0]
    for step, weight in enumerate([*stage.objective.seen[1:], raw]):
        decay = min(0.4, (1 + step) / (10 + step)) if step else 0.0
        average = decay * average + (1 - decay) * weight
    kept = torch.load(tmp_path / "weights" / "line.pt")
    assert torch.allclose(kept, average, atol=1e-6)
    assert not torch.allclose(kept, raw, atol=1e-4)
    assert torch.equal(stage.objective.line.weight, raw)  # training goes on with the weights themselves


def test_without_an_average_the_weights_are_kept(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, ema_decay=0.0), tmp_path)
    assert torch.equal(torch.load(tmp_path / "weights" / "line.pt"), stage.objective.line.weight)


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path: Path) -> None:
    """With plain means of losses, the gradients of the batches are averaged."""
    stage = Toy()
    train(stage, replace(CONFIG, steps=1, warmup=0, accumulation=3, max_gradient_norm=1e9), tmp_path)
    reference = Toy().objective
    sum(reference(stage.batches[number], seeded_generator(0, number)) / 3 for number in range(3)).backward()
    stored = torch.load(tmp_path / "state" / "optimizer.bin")["state"][0]["exp_avg"]
    assert torch.allclose(
        stored / 0.1, reference.line.weight.grad, rtol=1e-5
    )  # AdamW's first moment starts with a tenth


def test_gradients_are_clipped(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, steps=1, max_gradient_norm=0.01), tmp_path)
    moments = [
        entry["exp_avg"] for entry in torch.load(tmp_path / "state" / "optimizer.bin")["state"].values()
    ]
    assert math.isclose(torch.cat([moment.flatten() for moment in moments]).norm() / 0.1, 0.01, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 23: 1.0}),
        ("cosine", {0: 0.25, 3: 1.0, 4: 1.0, 14: 0.5, 24: 0.0}),
    ],
)
def test_the_learning_rate_rises_and_stays_or_falls(schedule: Any, rates: dict[int, float]) -> None:
    config = LoopConfig(steps=24, learning_rate=2e-4, warmup=4, schedule=schedule)
    assert {step: learning_rate(config, step) / 2e-4 for step in rates} == pytest.approx(rates)


def test_the_optimizer_gets_that_rate(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=4), tmp_path)
    (group,) = torch.load(tmp_path / "state" / "optimizer.bin")["param_groups"]
    assert group["lr"] == learning_rate(CONFIG, 3) == 0.05 * 4 / 5


def test_losses_are_told_every_ten_steps(tmp_path: Path) -> None:
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


def test_half_precision_needs_what_can_do_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fp16.*bf16"):
        train(Toy(), replace(CONFIG, mixed_precision="fp16"), tmp_path)


def test_streams_of_random_numbers_differ() -> None:
    streams = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0)]
    first = {tuple(torch.rand(4, generator=seeded_generator(*numbers)).tolist()) for numbers in streams}
    assert len(first) == len(streams)
    assert torch.equal(
        torch.rand(4, generator=seeded_generator(3, 4)), torch.rand(4, generator=seeded_generator(3, 4))
    )


def step_of(folder: Path) -> int:
    return torch.load(folder / "state" / "custom_checkpoint_0.pkl")["step"]
