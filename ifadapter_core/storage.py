"""Adapter files: load and check either format, save the pack's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from .checkpoint import AdapterWeights, CheckpointError, metadata_for, read_checkpoint


def load_weights(path: str | Path) -> AdapterWeights:
    """Load and check an adapter file of either format, on the CPU. Never runs code from the file.

    Raises CheckpointError for a file that is damaged, asks to run code, or is not an adapter.
    Raises OSError if the file cannot be opened.
    """
    path = Path(path)
    load = _load_safetensors if path.suffix in (".safetensors", ".sft") else _load_torch
    with reading(path):
        return read_checkpoint(*load(path))


def save_weights(weights: AdapterWeights, path: str | Path) -> None:
    """Save in the pack's .safetensors format. Raises OSError if the file cannot be written."""
    # safetensors refuses tensors that share memory.
    tensors = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.tensors.items()
    }
    with open(path, "ab"):  # raises OSError early; safetensors has an error class of its own
        pass
    save_file(tensors, str(path), metadata_for(weights.config))


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn errors about a file's content into a CheckpointError that names the file and the fix.

    Raises OSError if the file cannot be opened.
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
    except Exception as error:  # the parsers raise many types on malformed bytes
        raise CheckpointError(_unreadable(name, error)) from error


def _unreadable(name: str, error: Exception) -> str:
    """Message for a file that no parser could read."""
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
    return (
        f"{name} is damaged or incomplete, or no checkpoint at all ({reason}). Nothing in it was run. "
        "Download it again."
    )


def _load_torch(path: Path) -> tuple[Any, dict[str, str] | None]:
    return torch.load(path, map_location="cpu", weights_only=True), None


def _load_safetensors(path: Path) -> tuple[Any, dict[str, str] | None]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        return {name: file.get_tensor(name) for name in names}, file.metadata()
