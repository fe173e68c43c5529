"""The command ``generate``: settings, refusals, and resuming after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import contents
from loopback import FakeComfyUI

from evaluation.__main__ import main
from evaluation.benchmark import Benchmark, read_benchmark
from evaluation.generate.generator import seed_of

ROOT = Path(__file__).resolve().parents[3]
WORKFLOW = ROOT / "workflows" / "api" / "place_things_with_boxes.json"
COUNT = 7  # layouts of the benchmark

Serve = Callable[..., FakeComfyUI]


def test_seeds_depend_on_the_run_and_the_name() -> None:
    assert seed_of(0, "a") == seed_of(0, "a")
    assert len({seed_of(0, "a"), seed_of(1, "a"), seed_of(0, "b")}) == 3
    assert all(0 <= seed_of(seed, "x") < 2**32 for seed in range(20))


def test_pictures_of_other_settings_are_refused(
    benchmark: Benchmark, tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(ready_after=1).address
    command = [
        "generate",
        str(tmp_path / "benchmark"),
        str(tmp_path / "out"),
        "--server",
        server,
        "--workflow",
        str(WORKFLOW),
    ]
    assert main(command) == 0
    assert main([*command, "--server", serve().address]) == 0  # the server does not matter
    assert main([*command, "--seed", "1"]) == 2
    assert "pictures made with other settings: seed was 0, is 1" in capsys.readouterr().err
    assert main([*command, "--set", "KSampler.steps=31"]) == 2
    assert "graph was" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_generator_resumes_to_the_same_files(
    benchmark: Benchmark, tmp_path: Path, serve: Serve
) -> None:
    def command(server: FakeComfyUI, folder: str) -> list[str]:
        given = [
            str(tmp_path / "benchmark"),
            str(tmp_path / folder),
            "--server",
            server.address,
            "--workflow",
            str(WORKFLOW),
        ]
        return [sys.executable, "-m", "evaluation", "generate", *given]

    blocking = serve(block_at=4, ready_after=1)
    process = subprocess.Popen(command(blocking, "killed"), cwd=ROOT, stderr=subprocess.PIPE)
    assert blocking.blocked.wait(timeout=120)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert sorted(path.name for path in (tmp_path / "killed").glob("*.png")) == [
        "p0.png",
        "p1.png",
        "p2.png",
    ]
    resumed = serve(ready_after=1)
    subprocess.run(command(resumed, "killed"), cwd=ROOT, check=True, capture_output=True)
    assert len(resumed.prompts) == COUNT - 3
    assert main(command(serve(ready_after=1), "whole")[3:]) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Choose one source of pictures"),
        (["--server", "x", "--demo", "demo"], "Choose one source of pictures"),
        (["--server", "x"], "--server needs --workflow"),
        (
            ["--server", "x", "--workflow", str(WORKFLOW), "--strength", "0"],
            "--strength cannot be used: ComfyUI generates the pictures",
        ),
        (
            ["--demo", "nowhere", "--set", "a.b=1"],
            "--set cannot be used: diffusers generates the pictures",
        ),
        (["--models", "some/id"], "There is no adapter some/id/ifadapter.safetensors"),
        (
            ["--server", "x", "--workflow", str(WORKFLOW), "--timeout", "0"],
            "--timeout is 0 seconds; expected",
        ),
        (["--demo", "demo", "--steps", "0"], "--steps is 0; expected at least 1"),
        (["--demo", "demo", "--strength", "nan"], "strength of the adapter is nan; expected a finite number"),
        (
            ["--demo", "demo", "--start", "0.8", "--end", "0.2"],
            "starts at 0.8 and ends at 0.2; expected 0 to 1",
        ),
    ],
)
def test_wrong_options_are_refused(
    benchmark: Benchmark,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", str(tmp_path / "benchmark"), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert read_benchmark(tmp_path / "benchmark").digest == benchmark.digest
