"""``python -m training export``: write the models of a run in the format of ``demo/``, in float16."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import load_file, save_file

from ifadapter_core.storage import load_weights, save_weights
from ifadapter_diffusers.quiet import hide_loading_bars

from .config import load_shapes_config
from .stages import DemoRun

FOLDER = "models"  # of the exported models, in the folder of a run
MAX_BYTES = 16_000_000  # the weights are part of every clone
PREFIX = "text_model."
STAGES: tuple[Literal["vae", "unet", "adapter"], ...] = ("vae", "unet", "adapter")


def export(run: DemoRun, folder: Path) -> int:
    """Write the base model in diffusers' format and ``ifadapter.safetensors`` beside it.

    Returns the size of all weights in bytes. Raises ValueError if a stage has not run or the files
    are too large.
    """
    pipeline = run.pipeline()
    for stage in STAGES:
        export_stage(run, stage, folder)
    pipeline.save_config(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    if size > MAX_BYTES:
        raise ValueError(f"The weights take {size} bytes; the maximum is {MAX_BYTES}.")
    return size


def export_stage(run: DemoRun, stage: Literal["vae", "unet", "adapter"], folder: Path) -> None:
    """Write the files of one stage. Raises ValueError if it has not run."""
    if stage == "adapter":
        adapter = load_weights(run.folder / "adapter" / "weights" / "ifadapter.safetensors")
        halved = {name: tensor.half() for name, tensor in adapter.tensors.items()}
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(replace(adapter, tensors=halved), folder / "ifadapter.safetensors")
    elif stage == "vae":
        _write(folder / "vae", run.vae().half())
    else:
        _write(folder / "unet", run.unet().half())
        _write(folder / "text_encoder", run.text_encoder().half())
        _write(folder / "tokenizer", run.tokenizer)
        _write(folder / "scheduler", run.scheduler())
        _name_as_clip(folder / "text_encoder" / "model.safetensors")


def _write(folder: Path, part: Any) -> None:
    """Replace a folder by a part of the pipeline in diffusers' format."""
    shutil.rmtree(folder, ignore_errors=True)
    part.save_pretrained(folder)
    config = folder / "config.json"
    if config.exists():  # diffusers names the folder from which the weights came
        values = json.loads(config.read_text())
        values.pop("_name_or_path", None)
        config.write_text(json.dumps(values, indent=2) + "\n")


def _name_as_clip(path: Path) -> None:
    """Rename a text encoder's tensors as in CLIP's files: recent transformers omit the prefix."""
    tensors = {PREFIX + name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training export",
        description="Write the models of a run of the drawn world, for python -m demo --models.",
    )
    parser.add_argument("--config", default="shapes", help="config name, or a .yaml file")
    parser.add_argument("--to", type=Path, help=f"target folder (default: {FOLDER} in the run's folder)")
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="config overrides, such as output=runs/other"
    )
    options = parser.parse_intermixed_args(arguments)
    hide_loading_bars()
    try:
        config = load_shapes_config(options.config, options.settings)
        target = options.to or Path(config.output) / FOLDER
        size = export(DemoRun(Path(config.output), config.shapes), target)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    sys.stdout.write(f"{target}: {size / 1e6:.1f} MB of weights\n")


if __name__ == "__main__":
    main()
