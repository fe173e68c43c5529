"""A benchmark of small layouts, and fake ComfyUI servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import FakeComfyUI

from evaluation.benchmark import Benchmark, write_benchmark
from ifadapter_core.layout import Box, Instance, Layout

COUNT = 7


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeComfyUI]]:
    """Starts servers, and stops them at the end of the test."""
    running: list[FakeComfyUI] = []

    def start(**options: Any) -> FakeComfyUI:
        running.append(FakeComfyUI(**options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """``COUNT`` layouts, written to ``tmp_path / "benchmark"``."""
    layouts = {
        f"p{number}": Layout(
            64 + 64 * (number % 2),
            64,
            (Instance(Box(0.1, 0.1, 0.5, 0.5), f"cat {number}"),),
            f"room {number}",
        )
        for number in range(COUNT)
    }
    return write_benchmark(tmp_path / "benchmark", layouts, {})
