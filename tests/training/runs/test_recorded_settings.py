"""When the settings of a run are recorded: with its states, so a start that fails changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import own_runs
import pytest
import torch
from safetensors import safe_open
from toy_runs import CONFIG, EventAt, crash

from ifadapter_core.storage import load_weights
from tiny_models import Toy, sd
from training.loop import train
from training.run_settings import FILE

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


class Record:
    """Writes down how many states there are when the settings are recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, list[int]()

    def __call__(self) -> None:
        self.states.append(len(list(self.folder.glob("state*"))))


def test_the_settings_of_a_new_run_are_recorded_at_its_start(tmp_path: Path) -> None:
    record = Record(tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        train(EventAt(0, crash), CONFIG, tmp_path, record=record)
    assert record.states == [0]


@pytest.mark.parametrize("at", [9, 17])
def test_the_settings_of_a_resumed_run_are_recorded_with_its_next_state(tmp_path: Path, at: int) -> None:
    train(Toy(), replace(CONFIG, steps=9), tmp_path)
    record = Record(tmp_path)
    with pytest.raises(RuntimeError, match="power cut"):
        train(EventAt(at, crash), CONFIG, tmp_path, record=record)
    assert record.states == []
    train(Toy(), CONFIG, tmp_path, record=record)
    assert record.states == [2, 2]  # at steps 18 and 27


def test_a_run_that_cannot_resume_records_nothing(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=9), tmp_path)
    record, other = Record(tmp_path), Toy()
    other.objective.line = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match="another model"):
        train(other, CONFIG, tmp_path, record=record)
    with pytest.raises(ValueError, match="has done 9"):
        train(Toy(), replace(CONFIG, steps=5), tmp_path, record=record)
    assert record.states == []


def entries(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / FILE).read_text())


def recorded(run: Path) -> dict[str, Any]:
    """The settings in the metadata of the weights."""
    with safe_open(run / "weights" / "ifadapter.safetensors", "pt") as file:
        return json.loads(file.metadata()["training"])


@pytest.mark.slow
def test_the_command_refuses_and_the_weights_have_the_settings(
    tmp_path: Path, words: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sd(words).save_pretrained(tmp_path / "base")
    pictures = own_runs.draw(tmp_path / "pictures", 4)
    config = own_runs.write_config(tmp_path / "own.yaml", tmp_path / "base", pictures)
    run = own_runs.train(config, "adapter.loop.steps=1")
    assert [recorded(run)] == entries(run)
    assert len(load_weights(run / "weights" / "ifadapter.safetensors").config.layers) == 3

    more = ("adapter.loop.steps=2", "adapter.batch_size=1")
    with pytest.raises(SystemExit) as stopped:
        own_runs.train(config, *more)
    assert stopped.value.code == 2
    assert "adapter.batch_size 2, now 1" in capsys.readouterr().err

    # A model of another shape is refused too, and the original command still works.
    with pytest.raises(SystemExit):
        own_runs.train(config, "--override", "adapter.loop.steps=2", "adapter.shape.queries=8")
    assert "is of another model" in capsys.readouterr().err
    assert len(entries(run)) == 1
    own_runs.train(config, "adapter.loop.steps=2")
    assert entries(run)[-1]["config"]["adapter"]["loop"]["steps"] == 2

    own_runs.train(config, "--override", "adapter.loop.steps=3", "adapter.batch_size=1")
    assert recorded(run) == entries(run)[-1]
    assert entries(run)[-1]["config"]["adapter"]["batch_size"] == 1
