"""``python -m training STAGE``: train one stage, or resume it. Other first words are other commands."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # the imports take seconds: Ctrl-C ends them without a traceback

from ifadapter_diffusers.quiet import hide_loading_bars  # before diffusers

# isort: split
from accelerate.utils import set_seed
from torch.utils.data import Dataset

from ifadapter_diffusers.base_model import BaseModel

from . import run_settings
from .adapter_stage import AdapterStage
from .cache import command as cache_command
from .cache.opening import open_caches
from .config import DTYPES, Config, FolderConfig, LoopConfig
from .config_reader import build, config_path, read_config
from .cost import command as cost_command
from .cropping.crops import check_size, configured_crops
from .loop import Stage, train
from .new_adapter import load_init, unused_with_init
from .objective.denoising import LayoutBatch
from .objective.held_out import HeldOutLoss
from .optimization.optimizer import check_optimizer
from .pictures.batches import PictureBatches
from .pictures.check import report, undecodable
from .pictures.held_out import HeldOutPictures, split
from .pictures.samples import Samples
from .pictures.shards import command as shard_command
from .pictures.skips import SkipList
from .pictures.sources import INDEXES
from .tracking.trackers import tracker_names

if TYPE_CHECKING:
    from shapes.models.config import ShapesRunConfig
    from shapes.models.stages import DemoRun

SKIPPED = "skipped_pictures.txt"
STAGES = ("vae", "unet", "adapter", "world")
TRAINED = "layouts of training pictures"  # title on the sample sheets without held-out pictures


def main(arguments: list[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["cost"]:
        cost_command.main(given[1:])
        return
    if given[:1] == ["shard"]:
        shard_command.main(given[1:])
        return
    if given[:1] == ["cache"]:
        cache_command.main(given[1:])
        return
    if given[:1] == ["export"]:
        from shapes.models import export

        export.main(given[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train an IFAdapter, or the demo's base model. "
        "`python -m training cost --help`: measure a step. "
        "`python -m training shard --help`: write pictures as shards. "
        "`python -m training cache --help`: compute latents and text states once. "
        "`python -m training export --help`: write the demo's models of a run.",
    )
    parser.add_argument(
        "stage", choices=STAGES, help="vae and unet are the demo's base model, world is all of the demo's"
    )
    parser.add_argument(
        "--config", default="shapes", help="a config in training/configs, or a .yaml file (default shapes)"
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="key=value",
        help="overrides of the config, for example adapter.loop.steps=100",
    )
    parser.add_argument(
        "--check", action="store_true", help="decode all pictures, report those that cannot be used, and exit"
    )
    parser.add_argument(
        "--override", action="store_true", help="resume a run with other settings than those it had"
    )
    options = parser.parse_intermixed_args(given)
    hide_loading_bars()
    try:
        if options.check:
            parser.exit(0 if check(load(options.config, options.settings)) else 1)
        run(options.stage, load(options.config, options.settings), options.override)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The same command resumes the run.\n")


def load(name: str, overrides: Sequence[str]) -> Config:
    """The config, of the drawn world's kind if it has a ``shapes`` section."""
    data = read_config(name, overrides)
    if data.pop("shapes", None) is None:
        return build(Config, data, config_path(name).name)
    from shapes.models.config import load_shapes_config

    return load_shapes_config(name, overrides)


def run(stage: str, config: Config, override: bool = False) -> None:
    """Train a stage in the config's output folder.

    override: resume a run that had other settings.

    Raises ValueError if the config does not suffice, or if a run with other settings is there.
    """
    folder = Path(config.output)
    demo = demo_run(config)
    if stage == "world" and demo is not None:
        from shapes.models.world import train_world

        train_world(cast("ShapesRunConfig", config), override)
        return
    if stage == "adapter":
        set_seed(config.adapter.loop.seed)  # of the new weights
        adapter = adapter_stage(config, override)
        assert adapter.settings is not None
        record = partial(run_settings.write, folder / stage, adapter.settings)
        train(adapter, config.adapter.loop, folder / stage, record=record)
        if isinstance(adapter.batches, PictureBatches):
            sys.stdout.write(adapter.batches.skip_count())
        return
    if demo is None:
        raise ValueError(
            f"The stage {stage} belongs to the drawn world; "
            "this config trains an adapter on a given base model."
        )
    stages: dict[str, tuple[Callable[[], Stage], LoopConfig]] = {
        "vae": (demo.vae_stage, demo.config.vae.loop),
        "unet": (demo.unet_stage, demo.config.unet.loop),
    }
    make, loop = stages[stage]
    described = run_settings.describe(config)
    run_settings.compare(folder / stage, described, stage, override)
    set_seed(loop.seed)  # of the new weights
    train(make(), loop, folder / stage, record=partial(run_settings.write, folder / stage, described))


def demo_run(config: Config) -> DemoRun | None:
    """The drawn world's run, or None if the config has no ``shapes`` section."""
    shapes = getattr(config, "shapes", None)
    if shapes is None:
        return None
    from shapes.models.stages import DemoRun  # not at the top: the trainer works without the drawn world

    return DemoRun(Path(config.output), shapes)


def adapter_stage(config: Config, override: bool = False) -> AdapterStage:
    """A new adapter with the config's base model and pictures.

    Raises ValueError if either is not given, or see ``run_settings.compare``.
    """
    settings, folder, demo = config.adapter, config.folder, demo_run(config)
    check_optimizer(settings.loop)
    tracker_names(settings.loop)
    init = load_init(settings.init) if settings.init is not None else None
    if init and (unused := unused_with_init(settings)):
        logging.warning("adapter.init gives the weights, so %s has no effect.", " and ".join(unused))
    load_base: Callable[[], BaseModel]  # called last: the checks below are faster
    if config.base is not None:
        dtype = DTYPES[settings.loop.mixed_precision]
        load_base = partial(BaseModel.from_pretrained, config.base, dtype, config.vae)
    elif demo is not None:
        load_base = demo.base
    else:
        raise ValueError(
            "The config names no base model. "
            "Give base: a folder in diffusers' format, a hub name, or a .safetensors file."
        )
    batches: Dataset[LayoutBatch]
    pictures: Samples | None = None
    held_out: HeldOutPictures | None = None
    title = "held-out layouts"
    if folder is not None:
        check_size(folder)
        slots = init.config.settings.slots if init else settings.shape.slots
        pictures, others = split(folder, slots, Path(config.output) / INDEXES)
        batches = picture_batches(config, folder, pictures)
        if others is not None:
            held_out = HeldOutPictures(others, folder.size, settings.held_out_pictures)
            layouts = held_out.layouts(settings.samples)
        else:
            layouts, title = batches.central_layouts(settings.samples, folder.size), TRAINED
    elif demo is not None and config.base is None:  # its cached latents fit its own base model only
        batches = demo.layout_batches(settings.batch_size)
        layouts = demo.held_out(settings.samples)
    else:
        raise ValueError("The config names no pictures for its base model. Give folder.path and folder.size.")
    described = run_settings.describe(config, pictures, held_out.samples if held_out else None)
    run_settings.compare(Path(config.output) / "adapter", described, "adapter", override)
    base = load_base()
    if isinstance(batches, PictureBatches):
        depths = (init.config.settings if init else settings.shape).text_depths
        batches.caches = open_caches(config, base, batches.crops, depths)
        base.set_aside(*batches.caches.unneeded())
    stage = AdapterStage(
        base,
        settings.shape,
        settings.loss,
        batches,
        layouts,
        settings.gradient_checkpointing,
        settings.guidance,
        init=init,
        title=title,
    )
    if held_out is not None:
        stage.held_out_loss = HeldOutLoss(stage.objective, held_out, settings.batch_size)
    stage.settings = described
    return stage


def picture_batches(config: Config, folder: FolderConfig, pictures: Samples) -> PictureBatches:
    """The pictures to train on. The run's folder gets a list of those that are skipped."""
    settings = config.adapter
    skips = SkipList(Path(config.output) / "adapter" / SKIPPED)
    crops = configured_crops(folder, pictures, settings.batch_size, settings.loop.seed)
    found = PictureBatches(crops, settings.batch_size, settings.loop.seed, folder.max_bad, skips)
    if found.skipped and os.environ.get("RANK", "0") == "0":
        skips.extend(found.skipped_places())
        count = len(pictures)
        logging.warning("%d of %d pictures are skipped: see %s.", len(found.skipped), count, skips.path)
    return found


def check(config: Config) -> bool:
    """Decode all pictures of the config's folder, print what cannot be used; whether all can.

    Raises ValueError without a folder.
    """
    if config.folder is None:
        raise ValueError("--check needs a folder of pictures. Give folder.path and folder.size.")
    found = split(config.folder, config.adapter.shape.slots, Path(config.output) / INDEXES)
    parts = [part for part in found if part is not None]
    bad = {(part.where(index), reason) for part in parts for index, reason in undecodable(part).items()}
    sys.stdout.write(report(sum(map(len, parts)), dict(sorted(bad))))
    return not bad


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
