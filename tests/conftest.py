"""Settings of every test: one thread for each process, in subprocesses too. The tensors are tiny, and threads only wait."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
for variable in THREAD_VARIABLES:
    os.environ[variable] = (
        "1"  # read when the libraries are loaded, so before the first import of torch or numpy
    )


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps the settings of the first run of a process."""
    from accelerate.state import AcceleratorState, GradientState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
