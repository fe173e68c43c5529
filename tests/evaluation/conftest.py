"""Prepares the import of what is tested here, before any of it is imported."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]  # loopback, tiny_models

# The matrices are small: threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# pytest names the modules of this folder evaluation.* and makes up a parent of that name; the package itself takes its place.
sys.modules.pop("evaluation", None)
importlib.import_module("evaluation")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base model of random weights and an adapter for it."""
    import tiny_models

    return tiny_models.save_models(tmp_path_factory.mktemp("models"))
