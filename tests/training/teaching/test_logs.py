"""The files of a run's metrics after a kill, a full disk or a power cut: whole rows are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.tracking.csv_log import CsvLog
from training.tracking.trackers import METRICS, WANDB_ID, MetricsFile, _wandb_id


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / METRICS)
    file.log({"a": 1}, step=2)
    file.log({"a": 2}, step=5)
    (tmp_path / METRICS).write_text((tmp_path / METRICS).read_text() + '{"step": 5, "b')
    file.resume(4)
    assert metrics(tmp_path) == [{"step": 2, "a": 1}]


@pytest.mark.parametrize(
    "damage", [b'{"step": 2, "a', b"\n", b"\0\0\n", b"\xff\n", b'{"st{"step": 4}\n', b'{"a": 1}\n', b"3\n"]
)
def test_a_damaged_line_between_others_is_dropped(tmp_path: Path, damage: bytes) -> None:
    """A line was cut off and the next one was written behind it, or a power cut left zeros."""
    good = b'{"step": 1}\n', b'{"step": 3}\n'
    (tmp_path / METRICS).write_bytes(good[0] + damage + (b"\n" if damage[-1:] != b"\n" else b"") + good[1])
    MetricsFile(tmp_path / METRICS).resume(4)
    assert metrics(tmp_path) == [{"step": 1}, {"step": 3}]


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"step,lo",
        b"step,loss\r\n",
        b"step,loss\r\n10",
        b"step,loss\r\n10,0.1",
        b"step,loss\r\n10,0.100000\r",
        b"step,loss\r\n10,0.100000\r\n20\r\n",
        b"step,loss\r\n10,0.100000\r\n20,\r\n",
        b"step,loss\r\n10,0.100000\r\n\0\0\0",
        b"step,loss\r\n10,0.100000\r\n1020,0.2,0.1\r\n",
    ],
)
def test_a_log_that_was_cut_off_keeps_its_whole_rows(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "losses.csv"
    path.write_bytes(rest)
    reader = CsvLog(path, 30, writes=False)  # of another process
    whole = [(10, 0.1)] if b"10,0.100000\r\n" in rest else []
    assert reader.curve() == whole
    assert path.read_bytes() == rest
    log = CsvLog(path, 30, writes=True, header=("step", "loss"))
    assert log.curve() == whole
    log.add({"step": 30, "loss": 0.25})
    assert log.curve() == reader.curve() == [*whole, (30, 0.25)]
    assert path.read_bytes().startswith(b"step,loss\r\n")


def test_a_log_without_a_header_of_its_own_begins_anew_if_it_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "held_out.csv"
    path.touch()
    log = CsvLog(path, 30, writes=True)
    log.add({"step": 30, "loss": 0.25, "half": 0.125})
    assert path.read_bytes() == b"step,loss,half\r\n30,0.250000,0.125000\r\n"


def test_logs_are_whole_if_a_resume_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: the file before is kept, and no temporary one is left."""
    rows, lines = b"step,loss\r\n10,0.1\r\n20,0.2\r\n", b'{"step": 10}\n{"step": 20}\n'
    (tmp_path / "losses.csv").write_bytes(rows)
    (tmp_path / METRICS).write_bytes(lines)

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        CsvLog(tmp_path / "losses.csv", 15, writes=True)
    with pytest.raises(OSError, match="No space left"):
        MetricsFile(tmp_path / METRICS).resume(15)
    assert (tmp_path / "losses.csv").read_bytes() == rows
    assert (tmp_path / METRICS).read_bytes() == lines
    assert len(list(tmp_path.iterdir())) == 2


def test_the_id_of_a_run_is_drawn_once(tmp_path: Path) -> None:
    (tmp_path / WANDB_ID).touch()  # a full disk left it empty
    first = _wandb_id(tmp_path / WANDB_ID)
    assert len(first) == 12
    assert _wandb_id(tmp_path / WANDB_ID) == first
