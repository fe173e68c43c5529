"""The command ``table``: the scores of several folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from score_runs import command

from evaluation.__main__ import main

pytestmark = pytest.mark.slow


def test_several_folders_are_joined(
    shapes: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(shapes, tmp_path / "real", "real")) == 0
    capsys.readouterr()
    assert main(["table", str(tmp_path / "real"), str(whole)]) == 0
    rows = capsys.readouterr().out.splitlines()
    single = [(folder / "table.md").read_text().splitlines() for folder in (tmp_path / "real", whole)]
    assert rows == [*single[0][:3], *single[1][2:]]


def test_folders_scored_with_other_settings_are_refused(
    shapes: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**json.loads((whole / "scores.json").read_text()), "benchmark": "another"}
    (tmp_path / "scores.json").write_text(json.dumps(other))
    assert main(["table", str(whole), str(tmp_path)]) == 2
    assert re.search(
        r"cannot share a table: benchmark is '\w+' and 'another'\. "
        r"Score both with the same settings",
        capsys.readouterr().err,
    )
    assert main(["table", str(whole), str(shapes)]) == 2
    assert (
        f"{shapes} has no scores.json. Give folders written by `python -m evaluation score`"
        in capsys.readouterr().err
    )
