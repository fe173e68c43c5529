"""Prepares the import of what is tested here, before any of it is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tiny_models

# The matrices are small: threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# pytest names the modules of this folder training.* and makes up a parent of that name; the package itself takes its place.
sys.modules.pop("training", None)
importlib.import_module("training")


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps the settings of the first run of a process."""
    from accelerate.state import AcceleratorState, GradientState

    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
