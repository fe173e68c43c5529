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
from ifadapter_core.checkpoint import CheckpointError, metadata_for, read_checkpoint

FILES = 400
MAX_MEMORY_MIB = 300  # limit for reading broken files of a few KiB


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


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def flip(rng: random.Random, content: bytes) -> bytes:
    """Change some bytes, mostly at the start and the end, where the file formats keep their indices."""
    changed = bytearray(content)
    for _ in range(rng.randrange(1, 8)):
        position = rng.choice(
            (rng.randrange(2000), len(content) - 1 - rng.randrange(2000), rng.randrange(len(content)))
        )
        changed[position] = rng.randrange(256)
    return bytes(changed)


def duplicate(rng: random.Random, content: bytes) -> bytes:
    position = rng.randrange(len(content))
    return content[:position] + content[max(0, position - 50) :]


def peak_memory_mib() -> float:
    """Peak memory of this process so far; 0 on Windows, which has no getrusage, so it is not checked."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@pytest.mark.parametrize("mutate", [cut, flip, duplicate])
@pytest.mark.parametrize("kind", ["bin", "safetensors"])
def test_mutated_files(
    release_file: Path,
    own_file: Path,
    tmp_path: Path,
    kind: str,
    mutate: Callable[[random.Random, bytes], bytes],
) -> None:
    """Each is rejected by name, or has the right names and shapes: changed weight values go unnoticed."""
    source = release_file if kind == "bin" else own_file
    shapes = {name: tensor.shape for name, tensor in storage.load_weights(source).tensors.items()}
    content, before = source.read_bytes(), peak_memory_mib()
    rng = random.Random(1)
    messages: list[str] = []
    for number in range(FILES):
        path = tmp_path / f"mutated.{number}.{kind}"  # Windows cannot overwrite a memory-mapped file
        path.write_bytes(mutate(rng, content))
        try:
            tensors = storage.load_weights(path).tensors
        except CheckpointError as error:
            messages.append(str(error))
        else:
            assert {name: tensor.shape for name, tensor in tensors.items()} == shapes
    assert all(message.startswith("mutated.") for message in messages)
    assert len(messages) > FILES / 10
    assert peak_memory_mib() - before < MAX_MEMORY_MIB


@pytest.mark.parametrize("shape", [[2**40], [2**62, 2**62], [-1], [0]])
def test_declared_sizes_larger_than_the_file(tmp_path: Path, shape: list[int]) -> None:
    weights = read_checkpoint(reference.make_release_checkpoint(4))
    header: dict[str, Any] = {"__metadata__": metadata_for(weights.config)}
    header |= {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]} for name in list(weights.tensors)[:1]
    }
    text = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(CheckpointError, match=r"huge\.safetensors"):
        storage.load_weights(path)


def test_header_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(CheckpointError, match=r"long\.safetensors is damaged"):
        storage.load_weights(path)
