"""Fixtures for adapter files: the folder, temporary files, and a restart of the host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import folder_paths
import pytest
from utils.extra_config import load_extra_path_config

from loaded_pack import pack_module


@pytest.fixture
def folder(base: Path) -> Path:
    return base / "models" / "ifadapter"


@pytest.fixture
def write(folder: Path, request: pytest.FixtureRequest) -> Callable[[str, bytes], str]:
    """write(name, content) -> name. Creates a file in models/ifadapter, deleted after the test."""

    def run(name: str, content: bytes) -> str:
        (folder / name).write_bytes(content)
        folder_paths.filename_list_cache.pop("ifadapter", None)
        request.addfinalizer(lambda: (folder / name).unlink(missing_ok=True))
        return name

    return run


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch, host: Path, tmp_path: Path) -> Callable[[str], None]:
    """restart(yaml) registers the adapter folders as at a start with this extra_model_paths.yaml."""

    def run(yaml: str) -> None:
        monkeypatch.delitem(folder_paths.folder_names_and_paths, "ifadapter")
        folder_paths.filename_list_cache.pop("ifadapter", None)
        if yaml:
            path = tmp_path / "extra_model_paths.yaml"
            path.write_text(yaml)
            load_extra_path_config(str(path))
        asyncio.run(pack_module().comfy_entrypoint())

    yield run
    folder_paths.filename_list_cache.pop("ifadapter", None)
