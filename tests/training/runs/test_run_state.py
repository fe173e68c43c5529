"""Stopping and resuming: a resumed run ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_runs import CONFIG, EventAt, assert_same, crash, result, saved_step

from tiny_models import Toy
from training.loop import train

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, accumulation: int, number: int) -> None:
    config = replace(CONFIG, accumulation=accumulation)
    train(Toy(), config, tmp_path / "whole")
    for at in (12 * accumulation, 20 * accumulation - 1):  # the first and the last batch of a step
        with pytest.raises(KeyboardInterrupt):
            train(EventAt(at, lambda: os.kill(os.getpid(), number)), config, tmp_path / "stopped")
    train(Toy(), config, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_ctrl_c_finishes_the_step_and_restores_the_handler(tmp_path: Path) -> None:
    stage = EventAt(25, lambda: signal.raise_signal(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)  # not always Python's default, e.g. in background jobs
    with pytest.raises(KeyboardInterrupt):
        train(stage, replace(CONFIG, accumulation=2), tmp_path)
    assert len(stage.objective.calls) == 26
    assert saved_step(tmp_path) == 13
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_crashed_run_resumes_from_its_last_saved_state(tmp_path: Path, accumulation: int) -> None:
    config = replace(CONFIG, accumulation=accumulation)
    train(Toy(), config, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="power cut"):
        train(EventAt(13 * accumulation - 1, crash), config, tmp_path / "stopped")
    assert saved_step(tmp_path / "stopped") == 9
    train(Toy(), config, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_a_finished_run_resumes_with_more_steps(tmp_path: Path) -> None:
    config = replace(CONFIG, schedule="constant")
    train(Toy(), config, tmp_path / "whole")
    for steps in (13, 13, 27):  # the second is a no-op
        train(Toy(), replace(config, steps=steps), tmp_path / "longer")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "longer"))


def test_a_finished_run_says_so_when_it_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(Toy(), CONFIG, tmp_path / "run")
    assert "finished" not in capsys.readouterr().out
    train(Toy(), CONFIG, tmp_path / "run")
    line = f"{tmp_path / 'run'} is finished, at step {CONFIG.steps}. To continue it, raise steps.\n"
    assert line in capsys.readouterr().out


def test_a_run_resumes_with_another_accumulation(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=13), tmp_path)
    stage = Toy()
    train(stage, replace(CONFIG, accumulation=2), tmp_path)
    assert stage.objective.calls == list(range(26, 54))
    pairs = list(zip(stage.objective.seen[::2], stage.objective.seen[1::2], strict=True))
    assert all(torch.equal(first, second) for first, second in pairs)  # one optimizer step for two batches
    assert not torch.equal(pairs[0][1], pairs[1][0])


@pytest.mark.parametrize("left", ["state.old", "state"])
def test_a_run_killed_while_saving_resumes(tmp_path: Path, left: str) -> None:
    train(Toy(), CONFIG, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(RuntimeError):
        train(EventAt(13, crash), CONFIG, stopped)
    (stopped / "state").rename(stopped / left)
    (stopped / "state.new").mkdir()
    (stopped / "state.new" / "random_states_7.pkl").touch()  # of more processes, cut off
    if left == "state":
        (stopped / "state.old").mkdir()
        (stopped / "state.old" / "rest").touch()
    stage = Toy()
    train(stage, CONFIG, stopped)
    assert stage.objective.calls == list(range(9, 27))
    assert_same(result(tmp_path / "whole"), result(stopped))
    assert not (stopped / "state" / "random_states_7.pkl").exists()
    assert {path.name for path in stopped.iterdir()} - {"logs"} == {  # of tensorboard, where it is installed
        "metrics.jsonl",
        "state",
        "state.old",
        "weights",
        "weights_step.txt",
        "samples",
        "losses.csv",
        "loss.png",
    }


STATE_FILES = [
    "trained.safetensors",
    "optimizer.bin",
    "custom_checkpoint_0.pkl",
    "custom_checkpoint_1.pkl",
    "random_states_0.pkl",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one step."""
    folder = tmp_path_factory.mktemp("finished")
    train(Toy(), replace(CONFIG, steps=1), folder)
    return folder


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", STATE_FILES)
def test_a_state_that_was_cut_off_is_an_error_with_a_way_out(
    finished: Path, tmp_path: Path, name: str, left: float
) -> None:
    shutil.copytree(finished / "state", tmp_path / "state")
    assert {path.name for path in (tmp_path / "state").iterdir()} == set(STATE_FILES)
    path = tmp_path / "state" / name
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is damaged .* remove it to start over"):
        train(Toy(), CONFIG, tmp_path)
    assert path.exists()

    # The way out, with and without an older state.
    shutil.copytree(finished / "state", tmp_path / "state.old")
    with pytest.raises(ValueError, match=r"Remove .*state; the same command then resumes from .*state\.old"):
        train(Toy(), CONFIG, tmp_path)
    shutil.rmtree(tmp_path / "state")
    train(Toy(), CONFIG, tmp_path)
    assert saved_step(tmp_path) == CONFIG.steps


@pytest.mark.parametrize("name", STATE_FILES[:-1])
def test_a_state_without_one_of_its_files_is_an_error(finished: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(finished / "state", tmp_path / "state")
    (tmp_path / "state" / name).unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path / 'state'))} is damaged"):
        train(Toy(), CONFIG, tmp_path)


@pytest.mark.parametrize("writer", ["training.run_state.save_file", "torch.save"])
def test_the_state_before_is_kept_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    """On a full disk, torch raises RuntimeError and safetensors an error of its own."""
    config = replace(CONFIG, schedule="constant")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(Toy(), config, whole)
    train(Toy(), replace(config, steps=9), stopped)
    saves = 0

    def full(*_: Any, **__: Any) -> None:
        nonlocal saves
        saves += 1
        raise RuntimeError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        with pytest.raises(
            OSError, match=r"state\.new cannot be written \(no space left\)\. .*state is kept"
        ):
            train(Toy(), config, stopped)
    assert saves
    assert saved_step(stopped) == 9
    train(Toy(), config, stopped)
    assert_same(result(whole), result(stopped))


def test_states_without_pending_losses_load(tmp_path: Path) -> None:
    """Of earlier versions."""
    train(Toy(), replace(CONFIG, steps=13), tmp_path)
    torch.save({"step": 13}, tmp_path / "state" / "custom_checkpoint_0.pkl")
    train(Toy(), CONFIG, tmp_path)
    assert saved_step(tmp_path) == 27


def test_the_state_of_another_model_is_rejected(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=1), tmp_path)
    other = Toy()
    other.objective.line = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"another model.*remove that folder"):
        train(other, CONFIG, tmp_path)


@pytest.mark.slow
def test_ctrl_c_to_all_processes_loses_no_batch(tmp_path: Path) -> None:
    """A terminal sends it to the data loader processes too."""
    config = replace(CONFIG, accumulation=4, workers=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(Toy(), config, whole)

    def interrupt_all() -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(EventAt(40, interrupt_all), config, stopped)
    assert saved_step(stopped) == 10  # batch 40 begins a step
    train(Toy(), config, stopped)
    assert_same(result(whole), result(stopped))


def test_frozen_weights_are_neither_trained_nor_saved(tmp_path: Path) -> None:
    stage = Toy()
    before = {name: tensor.clone() for name, tensor in stage.objective.state_dict().items()}
    train(stage, CONFIG, tmp_path)
    after = stage.objective.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "line.weight",
        "line.bias",
    }
    assert load_file(tmp_path / "state" / "trained.safetensors").keys() == {"line.weight", "line.bias"}


def test_the_saved_weights_are_the_moving_average(tmp_path: Path) -> None:
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
    assert torch.equal(stage.objective.line.weight, raw)  # the training keeps the raw weights


def test_without_an_average_the_raw_weights_are_saved(tmp_path: Path) -> None:
    stage = Toy()
    train(stage, replace(CONFIG, ema_decay=0.0), tmp_path)
    assert torch.equal(torch.load(tmp_path / "weights" / "line.pt"), stage.objective.line.weight)
