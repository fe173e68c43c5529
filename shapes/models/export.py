"""``python -m shapes.models.export``: the models of a finished run as the files of ``demo/``, in float16."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ifadapter_core.storage import load_weights, save_weights
from training.config import load_config

from .stages import DemoRun

MOST_BYTES = 16_000_000  # people clone them
PREFIX = "text_model."


def export(run: DemoRun, folder: Path) -> int:
    """Write the base model in diffusers' format and the adapter beside it; returns the bytes of all weights.

    Raises ValueError when a stage has not been run, or when the files are too large.
    """
    adapter = load_weights(run.folder / "adapter" / "weights" / "ifadapter.safetensors")
    pipeline = run.pipeline().to(dtype=torch.float16)
    for name in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        shutil.rmtree(folder / name, ignore_errors=True)
        getattr(pipeline, name).save_pretrained(folder / name)
    pipeline.save_config(folder)
    _name_as_clip(folder / "text_encoder" / "model.safetensors")
    halved = replace(adapter, tensors={name: tensor.half() for name, tensor in adapter.tensors.items()})
    save_weights(halved, folder / "ifadapter.safetensors")
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    if size > MOST_BYTES:
        raise ValueError(f"The weights take {size} bytes, more than {MOST_BYTES}.")
    return size


def _name_as_clip(path: Path) -> None:
    """Give a text encoder's tensors the names of CLIP's own files, whose prefix newer versions of transformers leave out."""
    tensors = {PREFIX + name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shapes.models.export", description=__doc__)
    parser.add_argument("--config", default="shapes")
    parser.add_argument("--to", type=Path, default=Path("demo"))
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="in place of the config's, as output=runs/other"
    )
    options = parser.parse_args()
    try:
        config = load_config(options.config, options.settings)
        if config.shapes is None:
            raise ValueError(f"The config {options.config} has no drawn world.")
        size = export(DemoRun(Path(config.output), config.shapes), options.to)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    parser.exit(0, f"{options.to}: {size / 1e6:.1f} MB of weights\n")


if __name__ == "__main__":
    main()
