"""The registry's archive: the right files, none of which a security review would reject."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from archive import ROOT, build_archive, shipped_files, tracked_files
from scanner import scan

SHIPPED = shipped_files()
LEFT_OUT = sorted({*tracked_files(), *SHIPPED} - {*SHIPPED})
LIMIT_BYTES = 20_000_000


def test_archive_has_nodes_editor_and_demo_models_only() -> None:
    assert {name.split("/")[0] for name in SHIPPED} == {
        *("__init__.py", "pyproject.toml", "requirements.txt", "README.md", "CHANGELOG.md", "LICENSE"),
        *("demo", "ifadapter_core", "locales", "nodes", "subgraphs", "web", "workflows"),
    }
    assert {name for name in SHIPPED if name.startswith("demo/")} >= {
        "demo/ifadapter.safetensors",
        "demo/layouts/1_pair.json",
        "demo/text_encoder/model.safetensors",
        "demo/tokenizer/tokenizer.json",
        "demo/unet/diffusion_pytorch_model.safetensors",
        "demo/vae/diffusion_pytorch_model.safetensors",
    }
    assert "demo/__main__.py" in LEFT_OUT


def test_runtime_folders_ship_completely() -> None:
    folders = ("ifadapter_core/", "locales/", "nodes/", "subgraphs/", "web/", "workflows/")
    assert not [name for name in LEFT_OUT if name.startswith(folders)]


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # the name that comfy-cli uses
def test_pathspec_and_git_match_the_same_files() -> None:
    """comfy-cli matches .comfyignore with pathspec, not with git."""
    pathspec = pytest.importorskip("pathspec")
    patterns = pathspec.PathSpec.from_lines(
        "gitwildmatch", (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    )
    assert sorted(name for name in tracked_files() if not patterns.match_file(name)) == SHIPPED


def test_archive_is_below_the_size_limit(tmp_path: Path) -> None:
    build_archive(tmp_path / "pack.zip")
    assert (tmp_path / "pack.zip").stat().st_size < LIMIT_BYTES


def test_scanner_finds_nothing_in_the_archive() -> None:
    assert scan({name: (ROOT / name).read_bytes() for name in SHIPPED}, LEFT_OUT) == []


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.endswith(".md")])
def test_relative_links_stay_in_the_archive(name: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text("utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    places = {target: ((ROOT / name).parent / target).resolve() for target in targets}
    shipped = {(ROOT / each).resolve() for each in SHIPPED}
    folders = {parent for each in shipped for parent in each.parents}
    assert [target for target, place in places.items() if place not in shipped | folders] == []
