"""The package is what the registry, the Manager and a fresh ComfyUI expect."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [path for folder in ("ifadapter_core", "nodes") for path in (ROOT / folder).rglob("*.py")] + [
    ROOT / "__init__.py"
]


def requirements() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line]


def test_both_dependency_lists_agree_and_leave_the_hosts_packages_alone() -> None:
    assert PROJECT["project"]["dependencies"] == requirements()
    shipped_by_the_host = (
        r"(torch|torchvision|torchaudio|xformers|numpy|einops|safetensors|pillow|transformers)\b"
    )
    assert not [line for line in requirements() if re.match(shipped_by_the_host, line, re.IGNORECASE)]


def test_the_registry_gets_a_name_a_version_a_licence_and_a_repository() -> None:
    project = PROJECT["project"]
    assert re.fullmatch(r"[a-z][a-z0-9_.-]{1,99}", project["name"])
    assert "comfyui" not in project["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert "Apache License" in (ROOT / project["license"]["file"]).read_text()
    assert project["urls"]["Repository"].startswith("https://")
    assert PROJECT["tool"]["comfy"]["PublisherId"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", PROJECT["tool"]["comfy"]["requires-comfyui"])


def test_the_changelog_knows_the_version() -> None:
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_shipped_trips_no_scanner(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    forbidden = r"import (subprocess|socket|requests|urllib|huggingface_hub)|(?<![\w.])(exec|eval|print)\(|os\.system|\.cuda\(|torch\.autocast"
    assert not re.search(forbidden, text)


def test_one_entry_point_for_the_host() -> None:
    text = "".join(path.read_text() for path in SOURCES)
    assert "def comfy_entrypoint" in text
    assert "NODE_CLASS_MAPPINGS" not in text  # the host would take it and never look at the entry point
