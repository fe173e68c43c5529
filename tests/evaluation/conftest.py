"""Import paths of these tests, and fixtures that several folders use."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from package_of_same_name import restore

sys.path.insert(0, str(Path(__file__).parent / "support"))

# The tests of evaluation/build are in benchmarks/: pytest does not collect folders named "build".
#
# pytest gives this folder and its subfolders the names of the packages under test. It does not
# replace packages that are imported already, so import all of them first.
restore("evaluation")
for folder in ("build", "commands", "generate", "judge", "report", "sweep"):
    importlib.import_module(f"evaluation.{folder}")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base model of random weights and an adapter for it."""
    import tiny_models

    return tiny_models.save_models(tmp_path_factory.mktemp("models"))
