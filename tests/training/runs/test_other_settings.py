"""A run that resumes with other settings (--override) goes on by the new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from toy_runs import CONFIG, saved_step

from tiny_models import Toy
from training.loop import train
from training.processes.weights import WholeWeights
from training.run_state import RunState

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

BEFORE = replace(CONFIG, steps=9)


def saved(folder: Path, name: str) -> Any:
    return torch.load(folder / "state" / name)


def change(folder: Path, name: str, value: Any) -> None:
    torch.save(value, folder / "state" / name)


def test_the_optimizer_and_the_average_take_the_new_settings(tmp_path: Path) -> None:
    train(Toy(), replace(BEFORE, weight_decay=0.01, betas=(0.9, 0.999), ema_decay=0.5), tmp_path)
    train(Toy(), replace(CONFIG, weight_decay=0.5, betas=(0.5, 0.6), ema_decay=0.9), tmp_path)
    (group,) = saved(tmp_path, "optimizer.bin")["param_groups"]
    assert (group["weight_decay"], tuple(group["betas"])) == (0.5, (0.5, 0.6))
    assert saved(tmp_path, "custom_checkpoint_1.pkl")["decay"] == 0.9


def test_the_new_betas_are_those_of_the_next_step(tmp_path: Path) -> None:
    """Without momentum the first moment is the last gradient, clipped."""
    train(Toy(), BEFORE, tmp_path)
    train(Toy(), replace(CONFIG, steps=10, betas=(0.0, 0.999), max_gradient_norm=0.01), tmp_path)
    entries = saved(tmp_path, "optimizer.bin")["state"].values()
    moments = torch.cat([entry["exp_avg"].flatten() for entry in entries])
    assert float(moments.norm()) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("earlier", [False, True])
def test_an_average_begins_with_the_weights_of_a_state_without_one(tmp_path: Path, earlier: bool) -> None:
    """earlier: states of that version do not say whether they have one."""
    train(Toy(), replace(BEFORE, ema_decay=0.0), tmp_path)
    if earlier:
        progress = saved(tmp_path, "custom_checkpoint_0.pkl")
        del progress["averaged"]
        change(tmp_path, "custom_checkpoint_0.pkl", progress)
    stage = Toy()
    train(stage, replace(CONFIG, ema_decay=0.4), tmp_path)
    assert stage.objective.calls == list(range(9, 27))
    average = stage.objective.seen[0]
    raw = load_file(tmp_path / "state" / "trained.safetensors")["line.weight"]
    for step, weight in enumerate([*stage.objective.seen[1:], raw]):
        decay = min(0.4, (1 + step) / (10 + step)) if step else 0.0
        average = decay * average + (1 - decay) * weight
    assert torch.allclose(torch.load(tmp_path / "weights" / "line.pt"), average, atol=1e-6)


def test_a_run_goes_on_without_its_average_and_with_a_new_one(tmp_path: Path) -> None:
    train(Toy(), BEFORE, tmp_path)
    train(Toy(), replace(CONFIG, steps=18, ema_decay=0.0), tmp_path)
    raw = load_file(tmp_path / "state" / "trained.safetensors")["line.weight"]
    assert torch.equal(torch.load(tmp_path / "weights" / "line.pt"), raw)
    train(Toy(), CONFIG, tmp_path)
    assert saved(tmp_path, "custom_checkpoint_1.pkl")["optimization_step"] == 27 - 18


def test_the_state_of_another_optimizer_is_refused_and_kept(tmp_path: Path) -> None:
    train(Toy(), BEFORE, tmp_path)
    optimizer = saved(tmp_path, "optimizer.bin")
    for number, entry in optimizer["state"].items():  # as bitsandbytes names them
        optimizer["state"][number] = {
            "step": 9,
            "state1": entry["exp_avg"],
            "state2": entry["exp_avg_sq"],
        }
    change(tmp_path, "optimizer.bin", optimizer)
    with pytest.raises(
        ValueError, match=r"optimizer is adamw, but the state is of adamw8bit\. Set "
    ) as raised:
        train(Toy(), CONFIG, tmp_path)
    assert "damaged" not in str(raised.value)


def test_a_state_of_another_precision_has_no_scale_of_gradients(tmp_path: Path) -> None:
    """As when a run with bf16 goes on with fp16."""
    train(Toy(), BEFORE, tmp_path)
    weights, objective = WholeWeights(Accelerator(cpu=True)), Toy().objective
    weights.prepare(objective, CONFIG)
    weights.accelerator.scaler = torch.amp.GradScaler("cpu")
    shapes = {name: weight.shape for name, weight in objective.named_parameters() if weight.requires_grad}
    state = RunState(weights, shapes, CONFIG)
    state.restore(tmp_path)
    assert state.progress.step == 9


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, PermissionError])
def test_a_state_that_cannot_be_read_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    train(Toy(), BEFORE, tmp_path)

    def fail(_: Path) -> None:
        raise error("not enough")

    with monkeypatch.context() as patch:
        patch.setattr("training.run_state.load_file", fail)
        with pytest.raises(error, match=r"^not enough$"):
            train(Toy(), CONFIG, tmp_path)
    train(Toy(), CONFIG, tmp_path)
    assert saved_step(tmp_path) == 27
