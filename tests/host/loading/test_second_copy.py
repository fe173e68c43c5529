"""Two copies of the pack in one ComfyUI."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nodes
from loaded_pack import pack_module
from sampling import warnings_of

PACK = Path(__file__).resolve().parents[3]
NODE_IDS = [node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter")]


@pytest.fixture
def load_pack() -> Iterator[Callable[[Path], bool]]:
    """load_pack(folder) loads a pack with the host's loader. The first copy is restored afterwards."""
    mappings = nodes.NODE_CLASS_MAPPINGS, nodes.EXTENSION_WEB_DIRS, nodes.LOADED_MODULE_DIRS, sys.modules
    saved = [dict(mapping) for mapping in mappings]
    yield lambda folder: asyncio.run(nodes.load_custom_node(str(folder), module_parent="custom_nodes"))
    for mapping, before in zip(mappings, saved, strict=True):
        for name in set(mapping) - set(before):
            del mapping[name]
        mapping.update(before)


@pytest.fixture(params=["copy", "link"])
def second_copy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The pack in a second folder of custom_nodes, as a copy or as a symbolic link."""
    folder = tmp_path / "custom_nodes" / "comfyui-ifadapter-copy"
    folder.mkdir(parents=True)
    if request.param == "link":
        folder.rmdir()
        folder.symlink_to(PACK, target_is_directory=True)
        return folder
    for name in ("__init__.py", "nodes", "ifadapter_core", "web", "pyproject.toml"):
        source = PACK / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def test_second_copy_loads_with_one_warning(load_pack, second_copy, node, caplog):
    first = Path(pack_module().__file__).parent
    assert load_pack(second_copy)
    assert len(warnings_of(caplog)) == 1
    for part in (f"{first} and {second_copy}", "Delete one of the two folders"):
        assert part in caplog.text
    assert "Traceback" not in caplog.text
    # The host now has the nodes of the second copy, and they work.
    loaded = {nodes.NODE_CLASS_MAPPINGS[node_id].__module__ for node_id in NODE_IDS}
    assert all(Path(sys.modules[name].__file__).is_relative_to(second_copy) for name in loaded)
    layout = node("IFAdapterLayout", layout='{"boxes": []}', width=64, height=128)[0]
    assert (layout.width, layout.height) == (64, 128)


def test_one_copy_loads_without_a_warning(load_pack, caplog):
    """Loading the same folder again is not a second copy."""
    assert load_pack(Path(pack_module().__file__).parent)
    assert not warnings_of(caplog)
