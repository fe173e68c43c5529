"""Ctrl-C ends a command at once, whatever it waits for, with a message about resuming."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback import VisionServer
from PIL import Image
from scenes import WORLD, write_drawings

import tiny_models
from evaluation.benchmark import write_benchmark
from evaluation.build.builder import build_drawn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXIT_TIMEOUT_S = 30  # below the time limit of a request, 120 s


@pytest.fixture
def server() -> Iterator[VisionServer]:
    """A server that never answers its second request."""
    running = VisionServer(block_at=2)
    yield running
    running.stop()


def interrupt(words: list[object], when: Callable[[], bool]) -> None:
    """Start a command, send SIGINT once ``when`` is true, and check how it ends."""
    # Reset the handler for the child: a background process of a shell inherits that SIGINT is
    # ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "evaluation", *map(str, words)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, handler)
    while not when():
        try:
            assert process.wait(timeout=0.02) is None, "it ended before it was interrupted"
        except subprocess.TimeoutExpired:  # noqa: PERF203  (the time-out is the poll)
            continue
    process.send_signal(signal.SIGINT)
    try:
        _, error = process.communicate(timeout=EXIT_TIMEOUT_S)
    finally:
        process.kill()
    assert error.splitlines()[-1] == "Stopped. Finished files are kept; run the same command to resume."
    assert "Traceback" not in error
    assert process.returncode == 130


def test_builder_waiting_for_a_server(tmp_path: Path, server: VisionServer) -> None:
    Image.new("RGB", (80, 60)).save(tmp_path / "one.png")
    boxes = [
        {
            "id": place,
            "image_id": 1,
            "category_id": 7,
            "iscrowd": 0,
            "bbox": [12 + 10 * place, 4, 14, 20],
        }
        for place in range(3)
    ]
    images = [{"id": 1, "file_name": "one.png", "width": 80, "height": 60}]
    annotations = {
        "images": images,
        "categories": [{"id": 7, "name": "kite"}],
        "annotations": boxes,
    }
    (tmp_path / "instances.json").write_text(json.dumps(annotations))
    coco = [
        "--annotations",
        tmp_path / "instances.json",
        "--images",
        tmp_path,
        "--count",
        1,
        "--size",
        128,
    ]
    model = ["--model", "tiny", "--endpoint", server.url]
    interrupt(["build", tmp_path / "out", *coco, *model], server.blocked.is_set)


def test_generator_between_pictures(models: Path, tmp_path: Path) -> None:
    write_benchmark(
        tmp_path / "benchmark",
        {f"p{number}": tiny_models.layout(number) for number in range(4)},
        {},
    )
    words = [
        "generate",
        tmp_path / "benchmark",
        tmp_path / "out",
        "--models",
        models,
        "--steps",
        20,
    ]
    interrupt(words, lambda: bool(list((tmp_path / "out").glob("*.png"))))


def test_scorer_waiting_for_a_server(tmp_path: Path, server: VisionServer) -> None:
    build_drawn(tmp_path / "shapes", WORLD, 4)
    write_drawings(tmp_path / "drawings", 4, 0.0)
    judges = ["--detector", "shapes", "--verifier", f"tiny@{server.url}"]
    interrupt(
        ["score", tmp_path / "shapes", tmp_path / "drawings", tmp_path / "out", *judges],
        server.blocked.is_set,
    )


def test_sweep_between_pictures(models: Path, tmp_path: Path) -> None:
    build_drawn(tmp_path / "shapes", WORLD, 4)
    (tmp_path / "sweep.yaml").write_text(
        f"benchmark: {tmp_path / 'shapes'}\ngenerate: --models {models} --steps 5\n"
        "score: --detector shapes --verifier shapes\n"
        "columns: {success: success}\nvariants:\n  IFAdapter:\n"
    )
    pictures = tmp_path / "out" / "pictures" / "ifadapter"
    interrupt(
        ["sweep", tmp_path / "sweep.yaml", tmp_path / "out"],
        lambda: bool(list(pictures.glob("*.png"))),
    )
