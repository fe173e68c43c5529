"""Prepares the import of what is tested here, before any of it is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from package_of_same_name import restore

sys.path.insert(0, str(Path(__file__).parent))  # loopback, scenes, ..

restore("evaluation")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base model of random weights and an adapter for it."""
    import tiny_models

    return tiny_models.save_models(tmp_path_factory.mktemp("models"))
