"""The command ``python -m ifadapter_core.convert in.bin out.safetensors [--fp16]``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from .checkpoint import AdapterWeights
from .storage import load_weights, save_weights
from .weights.errors import CheckpointError, listed


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit status: 0, or 1 if a file cannot be read or written."""
    parser = argparse.ArgumentParser(
        prog="python -m ifadapter_core.convert", description="Convert an IFAdapter file to .safetensors."
    )
    parser.add_argument(
        "source", type=Path, help="the release's spd_adapter.bin, or a .safetensors file of this project"
    )
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument("--fp16", action="store_true", help="store the weights in float16: half the size")
    options = parser.parse_args(arguments)
    if options.target.suffix != ".safetensors":
        parser.error(f"the target must end in .safetensors, got {options.target.name}")
    try:
        if options.target.exists():
            parser.error(f"{options.target} exists already; choose another name or remove it first")
        weights = load_weights(options.source)
        save_weights(_halved(weights) if options.fp16 else weights, options.target)
    except (CheckpointError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (MemoryError, RuntimeError) as error:  # torch has no memory error of its own
        sys.stderr.write(f"{options.source} cannot be converted: {str(error) or 'not enough memory'}\n")
        return 1
    sys.stdout.write(
        f"{options.target}: {len(weights.config.layers)} adapted layers, for {weights.config.base_model}\n"
    )
    return 0


def _halved(weights: AdapterWeights) -> AdapterWeights:
    """The weights in float16. Raises CheckpointError if some are too large for it."""
    if weights.beyond_float16:
        raise CheckpointError(
            f"Weights beyond the range of float16 (65504): {listed(weights.beyond_float16)}. Convert without "
            "--fp16."
        )
    halves = {name: tensor.half() for name, tensor in weights.tensors.items()}
    return AdapterWeights(weights.config, halves)


def _stop(number: int, _frame: object) -> None:
    """End on a signal as on an error, so that the temporary file is removed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
