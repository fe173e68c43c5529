"""The last states are kept, each whole before an older one goes; and steps below what is done are refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_runs import CONFIG, EventAt, assert_same, crash, result

from tiny_models import Toy
from training.loop import train
from training.run_state import saved_states

pytestmark = pytest.mark.usefixtures("fresh_accelerate")


def steps(folder: Path) -> dict[str, int]:
    """The step of each state."""
    return {
        state.name: torch.load(state / "custom_checkpoint_0.pkl")["step"] for state in saved_states(folder)
    }


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (1, {"state": 27}),
        (2, {"state": 27, "state.old": 24}),
        (4, {"state": 27, "state.old": 24, "state.old2": 21, "state.old3": 18}),
    ],
)
def test_the_last_states_are_kept(tmp_path: Path, keep: int, expected: dict[str, int]) -> None:
    train(Toy(), replace(CONFIG, save_every=3, keep_states=keep), tmp_path)
    assert steps(tmp_path) == expected
    assert {path.name for path in tmp_path.glob("state*")} == set(expected)


def test_fewer_states_are_kept_from_the_next_save_on(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=12, save_every=3, keep_states=4), tmp_path)
    train(Toy(), replace(CONFIG, steps=15, save_every=3, keep_states=2), tmp_path)
    assert steps(tmp_path) == {"state": 15, "state.old": 12}


@pytest.mark.parametrize("missing", ["state", "state.old", "state.old2"])
def test_a_gap_that_a_crash_between_renames_left_is_closed(tmp_path: Path, missing: str) -> None:
    config = replace(CONFIG, save_every=3, keep_states=3)
    train(Toy(), config, tmp_path / "whole")
    with pytest.raises(RuntimeError):
        train(EventAt(13, crash), config, tmp_path / "stopped")
    shutil.rmtree(tmp_path / "stopped" / missing)
    train(Toy(), config, tmp_path / "stopped")
    assert steps(tmp_path / "stopped") == {"state": 27, "state.old": 24, "state.old2": 21}
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_an_older_state_resumes_where_the_newest_is_damaged_and_removed(tmp_path: Path) -> None:
    train(Toy(), CONFIG, tmp_path / "whole")
    train(Toy(), CONFIG, tmp_path / "damaged")
    (tmp_path / "damaged" / "state" / "optimizer.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"Remove .*state; the same command then resumes from"):
        train(Toy(), CONFIG, tmp_path / "damaged")
    shutil.rmtree(tmp_path / "damaged" / "state")
    stage = Toy()
    train(stage, CONFIG, tmp_path / "damaged")
    assert stage.objective.calls == list(range(18, 27))
    assert_same(result(tmp_path / "whole"), result(tmp_path / "damaged"))


def test_fewer_steps_than_are_done_are_refused(tmp_path: Path) -> None:
    train(Toy(), CONFIG, tmp_path)
    with pytest.raises(ValueError, match=r"steps is 5, but the run in .* has done 27\. Raise steps"):
        train(Toy(), replace(CONFIG, steps=5), tmp_path)
