"""Settings for every test: one thread per process, inherited by subprocesses.

The tensors are tiny, so more threads only wait for each other: with two threads beside other
processes a test can take eight times as long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# OpenMP, MKL and OpenBLAS read these when they are loaded: set them before anything imports torch or numpy.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Reset accelerate's process-wide state after the test."""
    from accelerate.state import AcceleratorState, GradientState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
