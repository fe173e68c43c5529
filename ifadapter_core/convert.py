"""Convert the release's .bin into a .safetensors: python -m ifadapter_core.convert in.bin out.safetensors [--fp16]."""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .checkpoint import AdapterWeights, CheckpointError, metadata_for, read_checkpoint


def load_weights(path: str | Path) -> AdapterWeights:
    """Read and check an adapter file of either kind, on the CPU, without running any code that it may carry.

    Raises CheckpointError when it is damaged, carries code, or is something else, and OSError when it cannot be read.
    """
    path = Path(path)
    try:
        data, metadata = _load_safetensors(path) if path.suffix in (".safetensors", ".sft") else (_load_pickle(path), None)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise unreadable(path.name, error) from error
    return read_checkpoint(data, metadata)


def save_weights(weights: AdapterWeights, path: str | Path) -> None:
    """Write our .safetensors format."""
    tensors = {name: tensor.contiguous() for name, tensor in weights.tensors.items()}
    save_file(tensors, str(path), metadata_for(weights.config))


def unreadable(name: str, error: Exception) -> CheckpointError:
    """The error for a file that cannot be opened: one that carries code, or a damaged one."""
    if isinstance(error, pickle.UnpicklingError) and "WeightsUnpickler" in str(error) or "Weights only load failed" in str(error):
        return CheckpointError(
            f"{name} is refused: it is a pickle that asks to run code, where an adapter holds tensors only. "
            "Nothing in it was run. Get the file from a source that you trust."
        )
    return CheckpointError(f"{name} is damaged or incomplete ({type(error).__name__}: {str(error).splitlines()[0]}). Download it again.")


def _load_pickle(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


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
    except (CheckpointError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.fp16:
        weights = AdapterWeights(weights.config, {name: tensor.half() for name, tensor in weights.tensors.items()})
    save_weights(weights, options.target)
    sys.stdout.write(f"{options.target}: {len(weights.config.layers)} adapted layers, for {weights.config.base_model}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
