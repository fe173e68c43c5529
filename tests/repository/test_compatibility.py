"""docs/compatibility.md names tests that exist."""

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
def test_the_named_tests_exist(cell: str) -> None:
    """`file::name`, where ".." stands for any letters; a name without a file is in the file named before it."""
    file = ""
    for quoted in re.findall(r"`([^`]+)`", cell):
        if quoted.startswith("make "):
            continue
        named, _, name = quoted.rpartition("::") if "::" in quoted else ("", "", quoted)
        if "/" in quoted or quoted.endswith((".py", ".js")):
            named, name = (named, name) if named else (quoted, "")
        file = named or file
        path = ROOT / file if "/" in file else ROOT / "tests" / "host" / file
        assert path.is_file(), file
        pattern = r"def \w*" + r"\w*".join(map(re.escape, filter(None, name.split(".."))))
        assert not name or re.search(pattern, path.read_text("utf-8")), quoted
