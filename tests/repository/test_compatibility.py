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
    """A cell names tests as ``file::name``, with full paths and names."""
    for quoted in re.findall(r"`([^`]+)`", cell):
        if quoted.startswith("make "):
            continue
        file, _, name = quoted.partition("::")
        path = ROOT / file
        assert path.is_file(), quoted
        declared = f"def {re.escape(name)}\\(" if path.suffix == ".py" else f"'{re.escape(name)}'"
        assert name, quoted
        assert re.search(declared, path.read_text("utf-8")), quoted
