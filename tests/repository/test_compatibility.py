"""The tests named in docs/compatibility.md exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    line.rsplit("|", 2)[1]
    for line in (ROOT / "docs" / "compatibility.md").read_text("utf-8").splitlines()
    if line.startswith("|")
]


@pytest.mark.parametrize("cell", [cell.strip() for cell in CELLS if "`" in cell])
def test_named_tests_exist(cell: str) -> None:
    """A cell names test files, or tests as ``file::name``, with full paths and names."""
    for quoted in re.findall(r"`([^`]+)`", cell):
        if quoted.startswith("make "):
            continue
        file, _, name = quoted.partition("::")
        path = ROOT / file
        assert path.is_file(), quoted
        assert not name or re.search(rf"def {re.escape(name)}\(", path.read_text("utf-8")), quoted
