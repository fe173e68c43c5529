"""What the nodes and the core never do: run code from elsewhere, start programs, open connections."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    ROOT / "__init__.py",
    *sorted((ROOT / "nodes").rglob("*.py")),
    *sorted((ROOT / "ifadapter_core").rglob("*.py")),
]
MODULES = {
    "subprocess",
    "socket",
    "ssl",
    "http",
    "urllib",
    "requests",
    "ftplib",
    "ctypes",
    "marshal",
    "shelve",
    "runpy",
    "code",
    "webbrowser",
}
FUNCTIONS = {"eval", "exec", "compile", "__import__", "urlopen", "hf_hub_download"}
METHODS = {
    "system",
    "popen",
    "spawnv",
    "fork",
    "urlopen",
    "hf_hub_download",
    "load_state_dict_from_url",
    "import_module",
}


def imported(tree: ast.AST) -> Iterator[str]:
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            yield from (alias.name.split(".")[0] for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and not part.level and part.module:
            yield part.module.split(".")[0]


def forbidden_calls(tree: ast.AST) -> Iterator[str]:
    for part in ast.walk(tree):
        function = part.func if isinstance(part, ast.Call) else None
        if isinstance(function, ast.Name) and function.id in FUNCTIONS:
            yield function.id
        if isinstance(function, ast.Attribute) and function.attr in METHODS:
            yield function.attr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_from_elsewhere_no_programs_no_network(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert not MODULES & set(imported(tree))
    assert not list(forbidden_calls(tree))


def test_the_editor_makes_no_page_from_text() -> None:
    for path in (ROOT / "web").glob("*.js"):
        text = path.read_text("utf-8")
        found = [
            word
            for word in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            )
            if word in text
        ]
        assert not found, path.name


def test_the_check_finds_what_it_looks_for() -> None:
    tree = ast.parse(
        "import subprocess\nfrom urllib.request import urlopen\nos.system('x'); eval('1'); model.eval()"
    )
    assert MODULES & set(imported(tree)) == {"subprocess", "urllib"}
    assert set(forbidden_calls(tree)) == {
        "system",
        "eval",
    }
