"""The package metadata that the registry, the Manager and ComfyUI read."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMFY = PROJECT["tool"]["comfy"]
REPOSITORY = "https://github.com/comfyui-ifadapter/ComfyUI-IFAdapter"
RAW = "https://raw.githubusercontent.com/comfyui-ifadapter/ComfyUI-IFAdapter/main/"
SOURCES = [path for folder in ("ifadapter_core", "nodes") for path in (ROOT / folder).rglob("*.py")] + [
    ROOT / "__init__.py"
]


def requirements() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line]


def picture_at(url: str) -> Image.Image:
    """The committed picture that a raw.githubusercontent URL serves."""
    assert url.startswith(RAW)
    return Image.open(ROOT / url.removeprefix(RAW))


def test_dependency_lists_agree_and_do_not_pin_host_packages() -> None:
    """The registry reads pyproject.toml, the Manager requirements.txt."""
    assert PROJECT["project"]["dependencies"] == requirements()
    shipped_by_the_host = (
        r"(torch|torchvision|torchaudio|xformers|numpy|einops|safetensors|pillow|transformers)\b"
    )
    assert not [line for line in requirements() if re.match(shipped_by_the_host, line, re.IGNORECASE)]


@pytest.mark.parametrize("folder", ["training", "evaluation"])
def test_optional_requirements_are_bounded_and_include_the_tested_versions(folder: str) -> None:
    """A new major version of a dependency must not break an installation from one day to the next."""
    tested = dict(
        line.partition(";")[0].split("==")
        for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    for line in (ROOT / folder / "requirements.txt").read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            assert {each.operator for each in requirement.specifier} == {">=", "<"}, line
            version = tested.get(requirement.name)
            assert version is None or requirement.specifier.contains(version), line


def test_registry_metadata() -> None:
    project = PROJECT["project"]
    assert re.fullmatch(r"[a-z][a-z0-9_.-]{1,99}", project["name"])
    assert "comfyui" not in project["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert "Apache License" in (ROOT / project["license"]["file"]).read_text()
    assert COMFY["PublisherId"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", COMFY["requires-comfyui"])


def test_registry_urls() -> None:
    """The registry's parser knows these keys; others, as "Bug Tracker", are for PyPI-like readers."""
    urls = PROJECT["project"]["urls"]
    assert urls["Repository"] == REPOSITORY
    assert urls["Documentation"].startswith(REPOSITORY)
    assert urls["Issues"] == urls["Bug Tracker"] == f"{REPOSITORY}/issues"


def test_icon_is_square_and_at_most_400_px() -> None:
    with picture_at(COMFY["Icon"]) as icon:
        assert icon.format == "PNG"
        assert icon.width == icon.height <= 400


def test_banner_is_21_to_9() -> None:
    with picture_at(COMFY["Banner"]) as banner:
        assert banner.format == "PNG"
        assert banner.width * 9 == banner.height * 21


def test_changelog_has_the_version() -> None:
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_only_the_v3_entry_point_is_exported() -> None:
    """The host ignores comfy_entrypoint in a module that defines NODE_CLASS_MAPPINGS."""
    trees = [ast.parse(path.read_text()) for path in SOURCES]
    parts = [part for tree in trees for part in ast.walk(tree)]
    functions = [part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert functions.count("comfy_entrypoint") == 1
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    imported = [part.asname or part.name for part in parts if isinstance(part, ast.alias)]
    assert "NODE_CLASS_MAPPINGS" not in [*names, *functions, *imported]
