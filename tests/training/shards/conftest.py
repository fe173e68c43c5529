"""Fixtures: a folder of pictures, its shards, and a server of them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from picture_files import varied
from shard_files import COUNT, PER_SHARD, Server, shard


@pytest.fixture(scope="session")
def varied_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    return varied(folder, [f"{'more/' * (number % 2)}{number:02}.jpg" for number in range(COUNT)])


@pytest.fixture(scope="session")
def made(varied_pictures: Path) -> Path:
    out = varied_pictures.with_name("shards")
    shard(varied_pictures, out, "--samples", PER_SHARD)
    return out


@pytest.fixture
def shards(made: Path, tmp_path: Path) -> Path:
    """Eight shards, to be damaged."""
    return shutil.copytree(made, tmp_path / "shards")


@pytest.fixture
def server(shards: Path) -> Iterator[Server]:
    with Server(shards) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()
