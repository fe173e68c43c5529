"""Adapter files: reading and checking them, and writing the pack's own format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .checkpoint import AdapterWeights, CheckpointError, metadata_for, read_checkpoint


def load_weights(path: str | Path) -> AdapterWeights:
    """Read and check an adapter file of either kind, on the CPU, without running any code that it may carry.

    Raises CheckpointError when it is damaged, carries code, or is something else, and OSError when it cannot be opened.
    """
    path = Path(path)
    with reading(path):
        return read_checkpoint(
            *(_load_safetensors(path) if path.suffix in (".safetensors", ".sft") else _load_torch(path))
        )


def save_weights(weights: AdapterWeights, path: str | Path) -> None:
    """Write our .safetensors format. Raises OSError when the file cannot be written."""
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.tensors.items()
    }  # none shared
    with open(path, "ab"):
        pass
    save_file(tensors, str(path), metadata_for(weights.config))


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong with the content of a file becomes a CheckpointError that names the file and what to do.

    Raises OSError when the file cannot be opened at all.
    """
    name = Path(path).name
    with open(path, "rb"):
        pass
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # readers fail in many ways on foreign bytes
        raise CheckpointError(_unreadable(name, error)) from error


def _unreadable(name: str, error: Exception) -> str:
    # By name: the registry's scanner rejects an import of the error's module.
    if type(error).__name__ == "UnpicklingError" and "Unsupported operand" not in str(error):
        return (
            f"{name} is refused: it is a pickle that asks to run code, where an adapter holds tensors only. "
            "Nothing in it was run. Get the file from a source that you trust."
        )
    reason = next(
        (line for line in reversed(str(error).splitlines()) if line and "http" not in line),
        type(error).__name__,
    )
    return f"{name} is damaged or incomplete, or no checkpoint at all ({reason}). Nothing in it was run. Download it again."


def _load_torch(path: Path) -> tuple[Any, None]:
    return torch.load(path, map_location="cpu", weights_only=True), None


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
