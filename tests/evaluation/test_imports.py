"""The evaluation is optional: nothing that the host loads imports it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED_BY_THE_HOST = [
    ROOT / "__init__.py",
    *sorted((ROOT / "nodes").rglob("*.py")),
    *sorted((ROOT / "ifadapter_core").rglob("*.py")),
]


def imports_evaluation(source: str) -> bool:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module or ''}.{alias.name}" for alias in node.names]
    return any("evaluation" in name.split(".") for name in names)


def test_the_host_does_not_load_the_evaluation() -> None:
    assert len(LOADED_BY_THE_HOST) > 20
    assert [path for path in LOADED_BY_THE_HOST if imports_evaluation(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import evaluation.judge.fid",
        "from evaluation import fid",
        "from .. import evaluation",
        "def f():\n from ..evaluation.fid import x",
    ],
)
def test_the_check_detects_imports(source: str) -> None:
    assert imports_evaluation(source)
