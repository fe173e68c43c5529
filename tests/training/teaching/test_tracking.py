"""What a run logs: the metrics file, trackers, and that resuming continues them without a trace."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import own_runs
import pytest
import torch
from toy_runs import CONFIG, assert_same, crash, request_stop, result

from tiny_models import Toy
from training.config import LoopConfig
from training.loop import train
from training.processes.group import Processes
from training.tracking.csv_log import CsvLog
from training.tracking.trackers import METRICS, MetricsFile, tracker_names

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

QUIET = replace(CONFIG, log_every=4, trackers=(), held_out_every=6)


class Taught(Toy):
    """The toy stage with a held-out loss: the sum of its weights, which is the average's when measured."""

    def __init__(self, at: int | None = None, event: Any = None) -> None:
        super().__init__()
        self.held_out_loss = Sum(self.objective)
        if at is not None:
            self.objective.register_forward_pre_hook(lambda _, given: event() if given[0][0] == at else None)


class Sum:
    """As ``HeldOutLoss``, of one row."""

    def __init__(self, objective: Any) -> None:
        self.objective = objective

    def parts(self, processes: Processes, adapter: bool = True) -> Iterator[torch.Tensor]:
        yield self.objective.line.weight.detach().sum() if adapter else torch.zeros(())

    def means(self, sums: torch.Tensor) -> dict[str, float]:
        return {"loss": float(sums), "half": float(sums) / 2}


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def test_each_line_has_the_metrics_of_its_steps(tmp_path: Path) -> None:
    stage, losses = Toy(), []
    stage.objective.register_forward_hook(lambda _, __, loss: losses.append(loss.item()))
    train(stage, replace(QUIET, steps=10), tmp_path)
    lines = metrics(tmp_path)
    assert [line["step"] for line in lines] == [4, 8]
    first = lines[0]
    assert first["train/loss"] == pytest.approx(sum(losses[:4]) / 4)
    assert first["train/learning_rate"] == pytest.approx(0.05 * 4 / 5)  # of the fourth step of the warmup
    assert 0 < first["train/gradient_norm"] <= first["train/largest_gradient_norm"]
    assert first["train/skipped_steps"] == 0
    assert first["speed/steps_per_second"] > 0
    assert first["memory/process_gib"] > 0.01


def test_the_gradients_norm_is_that_before_clipping(tmp_path: Path) -> None:
    norms = []
    for limit in (1e9, 1e-3):
        train(Toy(), replace(QUIET, steps=1, log_every=1, max_gradient_norm=limit), tmp_path / str(limit))
        norms.append(metrics(tmp_path / str(limit))[0]["train/gradient_norm"])
    assert norms[0] == norms[1] > 1e-3


def test_the_held_out_loss_is_that_of_the_average_at_the_start_at_intervals_and_at_the_end(
    tmp_path: Path,
) -> None:
    train(Taught(), replace(QUIET, steps=14), tmp_path)
    rows = own_runs.held_out(tmp_path)
    assert [row["step"] for row in rows] == [0, 6, 12, 14]
    assert all(
        row["base_loss"] == 0 and row["half"] == pytest.approx(row["loss"] / 2, abs=1e-5) for row in rows
    )
    average = torch.load(tmp_path / "state" / "custom_checkpoint_1.pkl")["shadow_params"][0]
    assert rows[-1]["loss"] == pytest.approx(float(average.sum()), abs=1e-5)
    logged = {line["step"]: line["held_out/loss"] for line in metrics(tmp_path) if "held_out/loss" in line}
    assert logged == {int(row["step"]): pytest.approx(row["loss"], abs=1e-5) for row in rows}


@pytest.mark.parametrize("event", [request_stop, crash])
@pytest.mark.parametrize("at", [9, 13, 18, 20])
def test_a_resumed_run_logs_as_an_uninterrupted_one(tmp_path: Path, at: int, event: Any) -> None:
    """Saved every nine steps, measured every six, logged every four. Neither changes the weights."""
    train(Taught(), QUIET, tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        train(Taught(at, event), QUIET, tmp_path / "stopped")
    train(Taught(), QUIET, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))
    whole, stopped = ((tmp_path / name / "held_out.csv").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
    kept = [
        [{key: line[key] for key in line if key in ("step", "train/loss", "held_out/loss")} for line in each]
        for each in (metrics(tmp_path / "whole"), metrics(tmp_path / "stopped"))
    ]
    assert kept[0] == kept[1]


def test_measuring_does_not_change_the_weights(tmp_path: Path) -> None:
    train(Taught(), QUIET, tmp_path / "measured")
    train(Toy(), QUIET, tmp_path / "plain")
    assert_same(result(tmp_path / "measured"), result(tmp_path / "plain"))
    assert not (tmp_path / "plain" / "held_out.csv").exists()


def test_a_crash_between_saving_and_measuring_leaves_no_gap(tmp_path: Path) -> None:
    config = replace(QUIET, save_every=6)
    train(Taught(), config, tmp_path / "whole")
    stage = Taught()
    stage.held_out_loss.parts = at_call(5, crash, stage.held_out_loss.parts)  # base and 0, then 6, 12, 18
    with pytest.raises(RuntimeError, match="power cut"):
        train(stage, config, tmp_path / "stopped")
    train(Taught(), config, tmp_path / "stopped")
    whole, stopped = ((tmp_path / name / "held_out.csv").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped


def at_call(number: int, event: Any, action: Any) -> Any:
    """The action, with an event at one of its calls."""
    calls = count(1)

    def act(*given: Any) -> Any:
        if next(calls) == number:
            event()
        return action(*given)

    return act


@pytest.mark.parametrize("call", [1, 2, 4, 7])  # base, steps 0, 12 and 27
def test_ctrl_c_ends_a_measurement_which_the_resumed_run_makes_up_for(tmp_path: Path, call: int) -> None:
    train(Taught(), QUIET, tmp_path / "whole")
    stage = Taught()
    stage.held_out_loss.parts = at_call(call, request_stop, stage.held_out_loss.parts)
    with pytest.raises(KeyboardInterrupt):
        train(stage, QUIET, tmp_path / "stopped")
    step = {1: 0, 2: 0, 4: 12, 7: 27}[call]
    assert len(stage.objective.calls) == step  # it stops at once
    assert step not in [row["step"] for row in rows_so_far(tmp_path / "stopped")]
    train(Taught(), QUIET, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))
    whole, stopped = ((tmp_path / name / "held_out.csv").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped


def rows_so_far(folder: Path) -> list[dict[str, float]]:
    return own_runs.held_out(folder) if (folder / "held_out.csv").exists() else []


def test_a_new_run_in_an_old_folder_starts_its_files_anew(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 3}\n{"step": 0}\n')
    (tmp_path / "held_out.csv").write_text("step,loss,half,base_loss\n0,9,9,9\n6,9,9,9\n")
    train(Taught(), replace(QUIET, steps=6), tmp_path)
    assert [row["step"] for row in own_runs.held_out(tmp_path)] == [0, 6]
    assert 9 not in [row["loss"] for row in own_runs.held_out(tmp_path)]
    assert [line["step"] for line in metrics(tmp_path)] == [0, 4, 6]


def test_a_run_with_an_empty_log_resumes(tmp_path: Path) -> None:
    train(Taught(), replace(QUIET, steps=6), tmp_path)
    for name in ("losses.csv", "held_out.csv", METRICS):
        (tmp_path / name).write_bytes(b"")
    train(Taught(), replace(QUIET, steps=12), tmp_path)
    assert [row["step"] for row in own_runs.held_out(tmp_path)] == [6, 12]
    assert [step for step, _ in CsvLog(tmp_path / "losses.csv", 12, writes=False).curve()] == [8, 12]


def test_without_a_terminal_the_held_out_loss_is_a_line_of_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(Taught(), replace(QUIET, steps=4), tmp_path / "toy")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("toy  step 0  held-out loss ")
    assert lines[1].startswith("toy  step 4  loss ")
    assert lines[2].startswith("toy  step 4  held-out loss ")


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (("wandbb",), r"trackers has 'wandbb'; expected some of .*tensorboard.*wandb"),
        (("aim",), r"trackers has aim, which is not installed\. Run pip install aim"),
    ],
)
def test_trackers_that_cannot_log_are_one_line(trackers: tuple[str, ...], message: str) -> None:
    if importlib.util.find_spec("aim"):
        pytest.skip("aim is installed")
    with pytest.raises(ValueError, match=message) as raised:
        tracker_names(LoopConfig(steps=1, trackers=trackers))
    assert "\n" not in str(raised.value)


def test_a_tracker_that_cannot_start_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: MetricsFile) -> None:
        raise RuntimeError("There is no login.")

    monkeypatch.setattr(MetricsFile, "start", start)
    with pytest.raises(ValueError, match=r"There is no login\. Set adapter\.loop\.trackers=\[\]"):
        train(Toy(), QUIET, tmp_path)


def test_tensorboard_is_the_default_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracker_names(LoopConfig(steps=1)) == ["tensorboard"]
    assert tracker_names(LoopConfig(steps=1, trackers=())) == []
    monkeypatch.setattr("training.tracking.trackers.get_available_trackers", lambda: [])
    assert tracker_names(LoopConfig(steps=1)) == []
    with pytest.raises(
        ValueError, match=r"tensorboard, which is not installed\. Run pip install tensorboard"
    ):
        tracker_names(LoopConfig(steps=1, trackers=("tensorboard",)))


def test_tensorboard_gets_the_metrics_of_each_line(tmp_path: Path) -> None:
    """Also those of a resumed run, which hides the steps that are repeated."""
    config = replace(QUIET, trackers=("tensorboard",))
    with pytest.raises(RuntimeError, match="power cut"):
        train(Taught(13, crash), config, tmp_path)  # the line of step 12 is repeated
    (tmp_path / "logs").rename(tmp_path / "before")  # files of the same second have the same name
    train(Taught(), config, tmp_path)
    lines = {line["step"]: line for line in metrics(tmp_path) if "train/loss" in line}
    found = board(tmp_path / "before", tmp_path / "logs")
    for name in ("train/loss", "train/gradient_norm", "train/learning_rate"):
        expected = {step: pytest.approx(line[name], rel=1e-6) for step, line in lines.items()}
        assert found[name] == expected
    held_out = {step: pytest.approx(row["loss"], abs=1e-6) for step, row in held_out_rows(tmp_path).items()}
    assert found["held_out/loss"] == held_out


def test_tensorboard_gets_no_loss_that_is_not_finite(tmp_path: Path) -> None:
    stage = Toy()
    stage.objective.register_forward_hook(
        lambda _, given, loss: loss * math.nan if given[0][0] == 2 else loss
    )
    train(stage, replace(QUIET, steps=4, log_every=1, trackers=("tensorboard",)), tmp_path)
    assert board(tmp_path / "logs")["train/loss"].keys() == {1, 2, 4}
    assert [line["step"] for line in metrics(tmp_path) if "train/loss" in line] == [1, 2, 4]


def held_out_rows(folder: Path) -> dict[int, dict[str, float]]:
    return {int(row["step"]): row for row in own_runs.held_out(folder)}


def board(*folders: Path) -> dict[str, dict[int, float]]:
    """The curves in the files of tensorboard: values by step, by name. Later folders replace earlier ones."""
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401  (its protobufs)
    from tensorboardX.proto.event_pb2 import Event

    curves: dict[str, dict[int, float]] = {}
    for path in [path for folder in folders for path in sorted(folder.rglob("events.out.tfevents.*"))]:
        content = path.read_bytes()
        while content:  # records: length, its checksum, event, its checksum
            (size,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
    return curves


@pytest.mark.slow
def test_an_adapters_metrics(tmp_path: Path, words: Path) -> None:
    """By the command, with a stop and a resume: held-out loss, bands, gates, pictures per second."""
    from tiny_models import sd

    sd(words).save_pretrained(tmp_path / "base")
    pictures = own_runs.draw(tmp_path / "pictures", 8)
    config = own_runs.write_config(tmp_path / "own.yaml", tmp_path / "base", pictures)
    run = own_runs.train(config)
    lines = {line["step"]: line for line in own_runs.metrics(run) if "train/loss" in line}
    assert lines.keys() == {2, 4}
    assert {name.partition("/")[0] for name in lines[4]} == {
        *("step", "train", "loss_by_timestep", "tanh_alpha", "speed", "memory")
    }
    gates = {name: value for name, value in lines[4].items() if name.startswith("tanh_alpha/")}
    assert "tanh_alpha/mid_block.attentions.0.transformer_blocks.0" in gates
    assert all(value == pytest.approx(0.46, abs=0.01) for value in gates.values())  # tanh(0.5)
    assert lines[4]["speed/pictures_per_second"] == pytest.approx(2 * lines[4]["speed/steps_per_second"])
    assert [row["step"] for row in own_runs.held_out(run)] == [0, 2, 4]
    assert (run / "samples" / "step_000004.png").exists()
