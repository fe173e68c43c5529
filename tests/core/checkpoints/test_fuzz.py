"""Fuzzing: mutated adapter files from a fixed seed."""

from __future__ import annotations

import json
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import reference
from ifadapter_core import convert, storage
from ifadapter_core.checkpoint import (
    CheckpointError,
    metadata_for,
    read_checkpoint,
)

FILES = 400
MOST_MEMORY = 300  # MiB that reading broken files of some KiB may take


@pytest.fixture(scope="module")
def release_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "release.bin"
    torch.save(reference.make_release_checkpoint(4), path)
    return path


@pytest.fixture(scope="module")
def own_file(release_file: Path) -> Path:
    path = release_file.with_suffix(".safetensors")
    assert convert.main([str(release_file), str(path)]) == 0
    return path


def cut(lot: random.Random, content: bytes) -> bytes:
    return content[: lot.randrange(len(content))]


def flip(lot: random.Random, content: bytes) -> bytes:
    """Some bytes differ: mostly at the front and the end, where such files say what they hold."""
    changed = bytearray(content)
    for _ in range(lot.randrange(1, 8)):
        place = lot.choice(
            (lot.randrange(2000), len(content) - 1 - lot.randrange(2000), lot.randrange(len(content)))
        )
        changed[place] = lot.randrange(256)
    return bytes(changed)


def double(lot: random.Random, content: bytes) -> bytes:
    place = lot.randrange(len(content))
    return content[:place] + content[max(0, place - 50) :]


def peak_memory_mib() -> float:
    """Peak memory of this process so far. 0 on Windows, which has no getrusage: the bound is not checked there."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@pytest.mark.parametrize("spoil", [cut, flip, double])
@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_broken_files(
    release_file: Path,
    own_file: Path,
    tmp_path: Path,
    kind: str,
    spoil: Callable[[random.Random, bytes], bytes],
) -> None:
    """They are refused by name, or whole in all that can be checked: a byte of a weight may be another weight's."""
    source = release_file if kind == "bin" else own_file
    shapes = {name: tensor.shape for name, tensor in storage.load_weights(source).tensors.items()}
    content, before = source.read_bytes(), peak_memory_mib()
    lot, refused = random.Random(1), 0
    for number in range(FILES):
        path = tmp_path / f"broken.{number}.{kind}"  # Windows cannot overwrite a file that is mapped
        path.write_bytes(spoil(lot, content))
        try:
            assert {
                name: tensor.shape for name, tensor in storage.load_weights(path).tensors.items()
            } == shapes
        except CheckpointError as error:
            refused += 1
            assert str(error).startswith("broken.")
    assert refused > FILES / 10
    assert peak_memory_mib() - before < MOST_MEMORY


@pytest.mark.parametrize("shape", [[2**40], [2**62, 2**62], [-1], [0]])
def test_declared_sizes_that_the_file_does_not_have(tmp_path: Path, shape: list[int]) -> None:
    weights = read_checkpoint(reference.make_release_checkpoint(4))
    header: dict[str, Any] = {"__metadata__": metadata_for(weights.config)}
    header |= {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]} for name in list(weights.tensors)[:1]
    }
    text = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CheckpointError, match="huge.safetensors"):
        storage.load_weights(path)


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(CheckpointError, match="long.safetensors is damaged"):
        storage.load_weights(path)
