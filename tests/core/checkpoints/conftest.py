"""Adapter files in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_files import release_bytes
from ifadapter_core import convert


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "spd_adapter.bin"
    path.write_bytes(release_bytes())
    return path


@pytest.fixture(scope="module")
def converted_file(release_file: Path) -> Path:
    path = release_file.with_suffix(".safetensors")
    assert convert.main([str(release_file), str(path)]) == 0
    return path
