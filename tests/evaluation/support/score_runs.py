"""Runs of the command ``score`` on drawings, in this process or in others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COUNT = 6  # layouts of the benchmark
SHAPES = ["--detector", "shapes", "--verifier", "shapes"]
ENVIRONMENT = {
    **os.environ,
    "ACCELERATE_USE_CPU": "true",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent))),
}


def command(benchmark: Path, output: Path, pictures: str = "altered") -> list[str]:
    """Arguments that score a folder of pictures inside the benchmark's folder."""
    return ["score", str(benchmark), str(benchmark / pictures), str(output), *SHAPES]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own, on the CPU."""
    return subprocess.run(
        words, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
