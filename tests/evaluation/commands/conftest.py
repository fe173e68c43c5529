"""A benchmark of the drawn world with pictures, and its scores."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from scenes import WORLD, write_drawings
from score_runs import COUNT, command, run

from evaluation.build.builder import build_drawn


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark; its subfolder ``altered`` has pictures with some wrong figures."""
    folder = tmp_path_factory.mktemp("shapes")
    build_drawn(folder, WORLD, COUNT)
    write_drawings(folder / "altered", COUNT, 0.4)
    return folder


@pytest.fixture(scope="session")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scores of the altered pictures, from a single process."""
    output = tmp_path_factory.mktemp("whole")
    done = run([sys.executable, "-m", "evaluation", *command(shapes, output)])
    assert done.returncode == 0, done.stderr
    assert done.stdout == (output / "table.md").read_text()
    return output
