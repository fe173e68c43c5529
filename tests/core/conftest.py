"""Settings of all core tests: deterministic property tests without a time limit, and one thread."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported: run its kernels on the CPU
sys.path.append(str(Path(__file__).parent / "support"))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

settings.register_profile(
    "core", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
