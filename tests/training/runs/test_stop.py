"""Stopping: said at once, at the next batch, and at once by a second Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_runs import CONFIG, EventAt, assert_same, request_stop, result, saved_step

from tiny_models import Toy
from training.loop import train
from training.stop_requests import FIRST, LEFT, SAME_SECONDS, SECOND, StopRequests

pytestmark = pytest.mark.usefixtures("fresh_accelerate")

ROOT = Path(__file__).resolve().parents[3]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Requests(StopRequests):
    """With a clock to set, and a list in place of the end of the process."""

    def __init__(self) -> None:
        self.clock, self.left = Clock(), list[int]()
        super().__init__(self.clock, self.left.append)


def test_the_first_signal_is_a_request_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Requests() as requests:
        assert not requests.made
        request_stop()
        assert requests.made
    assert capsys.readouterr().err == FIRST  # the thread has ended: nothing else can follow


@pytest.mark.parametrize(
    ("number", "seconds", "left"),
    [
        (signal.SIGINT, SAME_SECONDS + 0.1, [LEFT]),
        (signal.SIGINT, SAME_SECONDS, []),  # repeated by a launcher
        (signal.SIGTERM, 60.0, []),
    ],
)
def test_a_later_ctrl_c_leaves(
    number: int, seconds: float, left: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    requests = Requests()
    requests.receive(signal.SIGINT)
    requests.clock.now = seconds
    requests.receive(number)
    assert requests.left == left
    assert capsys.readouterr().err == FIRST + (SECOND if left else "")


def test_only_the_first_of_several_processes_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    Requests().receive(signal.SIGINT)
    assert capsys.readouterr().err == ""


def test_handlers_are_restored(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    with Requests():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(wakeup) == wakeup


@pytest.mark.parametrize("at", [40, 41, 43])
def test_a_run_stops_at_the_next_batch_and_drops_an_unfinished_step(tmp_path: Path, at: int) -> None:
    """Batches 40 to 43 are one step. The run resumes as if it had never stopped."""
    config = replace(CONFIG, accumulation=4)
    train(Toy(), config, tmp_path / "whole")
    stage = EventAt(at, request_stop)
    with pytest.raises(KeyboardInterrupt):
        train(stage, config, tmp_path / "stopped")
    assert stage.objective.calls == list(range(at + 1))
    assert saved_step(tmp_path / "stopped") == (11 if at == 43 else 10)
    train(Toy(), config, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_a_run_that_stops_within_its_first_step_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(EventAt(1, request_stop), replace(CONFIG, accumulation=4), tmp_path)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "weights").exists()


SLOW_STEP = """
import signal, sys, threading
from pathlib import Path
from toy_runs import CONFIG, EventAt
from training import loop, stop_requests

stop_requests.SAME_SECONDS = 0.0

def hang():
    sys.stdout.write("hangs\\n")
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # as inside an operation that never returns
    threading.Event().wait(100)

loop.train(EventAt(12, hang), CONFIG, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_two_ctrl_c_leave_a_step_that_does_not_end(tmp_path: Path) -> None:
    """The last state is whole, and the run resumes from it."""
    paths = [ROOT, ROOT / "tests", ROOT / "tests" / "training"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_STEP, str(tmp_path / "stopped")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    assert any(line == "hangs\n" for line in process.stdout)
    process.send_signal(signal.SIGINT)
    assert any(FIRST.strip() in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    assert SECOND.strip() in process.stderr.read()
    assert process.wait(60) == LEFT
    assert saved_step(tmp_path / "stopped") == 9
    train(Toy(), CONFIG, tmp_path / "whole")
    train(Toy(), CONFIG, tmp_path / "stopped")
    assert_same(result(tmp_path / "whole"), result(tmp_path / "stopped"))


def test_ctrl_c_while_packages_are_imported_writes_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "accelerate.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "training", "adapter"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
