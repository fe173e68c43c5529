"""``python -m training STAGE``: every stage of training, each going on from where it stopped."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate.utils import set_seed

from ifadapter_diffusers.base_model import BaseModel
from shapes.models.stages import DemoRun, LayoutBatches

from .adapter_stage import AdapterStage
from .config import Config, ShapesConfig, load_config
from .loop import LoopConfig, Stage, train
from .picture_folder import PictureFolder

DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}  # of the base model
SIDE_UNIT = 64  # pixels: latents of this part are still halved evenly in a UNet
DEMO_STAGES: dict[str, tuple[Callable[[DemoRun], Stage], Callable[[ShapesConfig], LoopConfig]]] = {
    "vae": (DemoRun.vae_stage, lambda config: config.vae.loop),
    "unet": (DemoRun.unet_stage, lambda config: config.unet.loop),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train an IFAdapter, or the demo's base model."
    )
    parser.add_argument("stage", choices=(*DEMO_STAGES, "adapter"), help="what to train")
    parser.add_argument(
        "--config", default="shapes", help="the name of one in training/configs, or a .yaml file"
    )
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="in place of the config's, as adapter.loop.steps=100"
    )
    options = parser.parse_intermixed_args(arguments)
    try:
        run(options.stage, load_config(options.config, options.settings))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The same command goes on from here.\n")


def run(stage: str, config: Config) -> None:
    folder = Path(config.output)
    if stage == "adapter":
        loop = config.adapter.loop
        set_seed(loop.seed)  # new weights come from it too
        made: Stage = adapter_stage(config)
    elif config.shapes is not None:
        make, loop_of = DEMO_STAGES[stage]
        loop = loop_of(config.shapes)
        set_seed(loop.seed)
        made = make(DemoRun(folder, config.shapes))
    else:
        raise ValueError(
            f"The stage {stage} belongs to the drawn world; this config trains an adapter on a base model that is there."
        )
    train(made, loop, folder / stage)


def adapter_stage(config: Config) -> AdapterStage:
    """The adapter on the base model and the pictures that the config names. Raises ValueError when it names too little."""
    settings, folder = config.adapter, config.folder
    demo = None if config.shapes is None else DemoRun(Path(config.output), config.shapes)
    if config.base is None and demo is None:
        raise ValueError(
            "The config names no base model. Give base: a folder in diffusers' format, a hub name, or a .safetensors file."
        )
    if folder is not None:
        if folder.size % SIDE_UNIT:
            raise ValueError(f"folder: size is {folder.size}; expected a multiple of {SIDE_UNIT}.")
        pictures = PictureFolder(folder.path, folder.size, settings.batch_size, settings.loop.seed)
        batches, held_out = pictures, pictures.central_layouts(settings.samples)
    elif demo is not None and config.base is None:  # its pictures are kept as latents of its own
        batches, held_out = LayoutBatches(demo.latents(settings.batch_size)), demo.held_out(settings.samples)
    else:
        raise ValueError("The config names no pictures for its base model. Give folder.path and folder.size.")
    dtype = DTYPES[settings.loop.mixed_precision]
    base = demo.base() if config.base is None else BaseModel.from_pretrained(config.base, dtype)
    return AdapterStage(
        base,
        settings.shape,
        settings.loss,
        batches,
        held_out,
        settings.gradient_checkpointing,
        settings.guidance,
    )


if __name__ == "__main__":
    main()
