"""Convert the release's .bin into a .safetensors: python -m ifadapter_core.convert in.bin out.safetensors [--fp16]."""

from __future__ import annotations

import argparse
import pickle  # nosec B403
import sys
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
        return read_checkpoint(*(_load_safetensors(path) if path.suffix in (".safetensors", ".sft") else _load_pickle(path)))


def save_weights(weights: AdapterWeights, path: str | Path) -> None:
    """Write our .safetensors format. Raises OSError when the file cannot be written."""
    tensors = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.tensors.items()}  # none shared
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
    if isinstance(error, pickle.UnpicklingError) and "Unsupported operand" not in str(error):
        return (
            f"{name} is refused: it is a pickle that asks to run code, where an adapter holds tensors only. "
            "Nothing in it was run. Get the file from a source that you trust."
        )
    reason = next((line for line in reversed(str(error).splitlines()) if line and "http" not in line), type(error).__name__)
    return f"{name} is damaged or incomplete, or no checkpoint at all ({reason}). Nothing in it was run. Download it again."


def _load_pickle(path: Path) -> tuple[Any, None]:
    return torch.load(path, map_location="cpu", weights_only=True), None


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str] | None]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ifadapter_core.convert", description="Convert an IFAdapter file to .safetensors.")
    parser.add_argument("source", type=Path, help="the release's spd_adapter.bin, or a .safetensors of ours")
    parser.add_argument("target", type=Path, help="the .safetensors to write")
    parser.add_argument("--fp16", action="store_true", help="store the weights in float16: half the size")
    options = parser.parse_args(arguments)
    if options.target.suffix != ".safetensors":
        parser.error(f"the target must end in .safetensors, got {options.target.name}")
    if options.target.exists():
        parser.error(f"{options.target} exists already; choose another name or remove it first")
    try:
        weights = load_weights(options.source)
        if options.fp16:
            weights = AdapterWeights(weights.config, {name: tensor.half() for name, tensor in weights.tensors.items()})
        save_weights(weights, options.target)
    except (CheckpointError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{options.target}: {len(weights.config.layers)} adapted layers, for {weights.config.base_model}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
