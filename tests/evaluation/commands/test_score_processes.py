"""The command ``score``, killed and resumed, and in two processes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import killed_scorer
import pytest
import red_green_scorer
from folders import contents
from score_runs import COUNT, command, run
from tiny_clip import save_clip

pytestmark = pytest.mark.slow

LAUNCH = [
    sys.executable,
    "-m",
    "accelerate.commands.accelerate_cli",
    "launch",
    "--multi_gpu",
    "--num_processes",
    "2",
]
LAUNCH += [
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
    "--main_process_port",
    "0",
]


def test_a_killed_scorer_resumes_to_the_same_bytes(shapes: Path, whole: Path, tmp_path: Path) -> None:
    words = command(shapes, tmp_path)
    done = run([sys.executable, killed_scorer.__file__, "3", *words])
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    assert not (tmp_path / "table.md").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").iterdir()}
    # This run is killed if it judges more than the remaining pictures.
    done = run([sys.executable, killed_scorer.__file__, str(COUNT - 3), *words])
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(whole)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_two_processes_write_the_same_files_as_one(shapes: Path, whole: Path, tmp_path: Path) -> None:
    done = run([*LAUNCH, "-m", "evaluation", *command(shapes, tmp_path)])
    assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path) == contents(whole)
    assert done.stdout.count("IFAdapter (published)") == 1
    assert f"{COUNT // 2}/{COUNT // 2}" in done.stderr


def test_two_processes_give_the_same_clip_score_and_fid_as_one(shapes: Path, tmp_path: Path) -> None:
    """The main process computes them alone, after the others ended."""
    clip = save_clip(tmp_path / "clip")
    outputs = {}
    for name, start in (("one", [sys.executable]), ("two", LAUNCH)):
        words = command(shapes, tmp_path / name)
        done = run(
            [
                *start,
                red_green_scorer.__file__,
                *words,
                "--real",
                str(shapes / "real"),
                "--clip",
                str(clip),
            ]
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outputs[name] = {
            path: content
            for path, content in contents(tmp_path / name).items()
            if not path.startswith("clip/")
        }
    one, two = (json.loads(outputs[name].pop("scores.json")) for name in ("one", "two"))
    assert outputs["two"] == outputs["one"]  # including the table, which rounds
    for measure in ("fid", "clip"):  # the last digits depend on the number of threads
        assert two[measure]["value"] == pytest.approx(one[measure]["value"], rel=1e-5)
        assert two[measure]["value"] > 0
