"""``python -m training cache``: compute latents and text states once, over all processes."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.quiet import hide_loading_bars

from ..config import DTYPES, Config, load_config
from ..cropping.crops import Crops, check_size, configured_crops
from ..new_adapter import load_init
from ..pictures.check import check_share
from ..pictures.held_out import split
from ..pictures.sources import INDEXES
from ..processes.launch import set_precision
from . import latents, texts
from .contents import Content, latents_made_of, texts_made_of
from .parts import Parts, remove_leftovers

GB = 1e9


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training cache",
        description="Compute latents and text states once, for trainings with the same settings. "
        "The same command goes on where it was stopped.",
    )
    parser.add_argument("--config", required=True, help="a config in training/configs, or a .yaml file")
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="overrides of the config, among them cache.path"
    )
    options = parser.parse_intermixed_args(arguments)
    hide_loading_bars()
    try:
        run(load_config(options.config, options.settings))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "Stopped. The same command goes on.\n")


def run(config: Config) -> None:
    """Compute what is missing in the caches of a config. Each process takes its part of the files.

    Raises ValueError if the settings do not suffice, if there is a cache of something else, or if more
    than ``folder.max_bad`` of the pictures cannot be decoded.
    """
    settings, folder = config.cache, config.folder
    if settings is None or folder is None or config.base is None:
        raise ValueError(
            "A cache needs a folder, pictures and a base model. Give cache.path, folder.path and base."
        )
    check_size(folder)
    adapter = config.adapter
    shape = load_init(adapter.init).config.settings if adapter.init is not None else None
    slots, depths = (shape or adapter.shape).slots, (shape or adapter.shape).text_depths
    samples, _ = split(folder, slots, Path(config.output) / INDEXES)
    crops = configured_crops(folder, samples, adapter.batch_size, adapter.loop.seed)
    check_share(samples.bad.values(), len(samples), folder.max_bad)

    accelerator = Accelerator(mixed_precision=adapter.loop.mixed_precision)
    set_precision(accelerator.device, adapter.loop)  # as in the training
    base = BaseModel.from_pretrained(config.base, DTYPES[adapter.loop.mixed_precision], config.vae)
    base.to(accelerator.device)
    if settings.latents:
        _cache_latents(config, base, crops, accelerator)
    if settings.text:
        _cache_texts(config, base, crops, depths, accelerator)
    accelerator.end_training()


def _cache_latents(config: Config, base: BaseModel, crops: Crops, accelerator: Accelerator) -> None:
    assert config.cache is not None
    assert config.folder is not None
    content = Content(latents_made_of(config, base, crops), latents.part_count(crops))
    parts, own = _prepared(Path(config.cache.path) / latents.FOLDER, content, accelerator)
    numbers = [number for part in own for number in latents.numbers_of(part, crops)]
    loader = DataLoader(
        latents.CropImages(crops),
        batch_size=None,
        sampler=numbers,
        num_workers=config.adapter.loop.workers,
        worker_init_fn=_ignore_ctrl_c,
    )
    dtype = DTYPES[config.adapter.loop.mixed_precision]
    encoded: dict[int, Tensor] = {}
    bad: dict[int, str] = {}
    reasons: dict[int, str] = {}  # by picture, in all files of this process
    for image in _progress(loader, "crops", len(numbers), accelerator):
        if image.pixels is None:
            bad[image.number] = reasons[image.number // crops.count] = image.reason
            check_share(reasons.values(), len(crops.samples), config.folder.max_bad)
        else:
            encoded[image.number] = base.encode(image.pixels[None])[0].to("cpu", dtype)
        part = image.number // latents.PER_PART
        if image.number == latents.numbers_of(part, crops)[-1]:
            latents.write_part(parts, part, encoded, bad)
            encoded, bad = {}, {}

    accelerator.wait_for_everyone()
    _check_complete(parts)
    if accelerator.is_main_process:
        reasons = latents.bad_samples(parts, crops)
        check_share(reasons.values(), len(crops.samples), config.folder.max_bad)
        count = len(crops.samples) - len(reasons)
        _say(f"Latents: {crops.count} crops of {count} pictures in {_size(parts)}.")
        for reason in reasons.values():
            _say(f"Left out: {reason}")


def _cache_texts(
    config: Config, base: BaseModel, crops: Crops, depths: Sequence[int], accelerator: Accelerator
) -> None:
    assert config.cache is not None
    of_crops = texts.has_captions_of_crops(crops)
    if of_crops and not crops.count:
        raise ValueError(
            "cache.text: there are layouts without a caption, whose captions are made of the boxes that a "
            "crop keeps. Set folder.crops, for example folder.crops=1, or write captions."
        )
    captions, descriptions = texts.texts_of(crops, of_crops)
    content = Content(
        texts_made_of(config, base, crops, depths, of_crops),
        texts.part_count(captions, descriptions),
        of_crops,
    )
    parts, own = _prepared(Path(config.cache.path) / texts.FOLDER, content, accelerator)
    by_part = texts.by_part(captions, parts.count), texts.by_part(descriptions, parts.count)
    precision = DTYPES[config.adapter.loop.mixed_precision]
    for part in _progress(own, "files of texts", len(own), accelerator):
        with accelerator.autocast():  # as in a step
            tensors = texts.encoded(base, by_part[0][part], by_part[1][part], depths, precision)
        parts.write(part, tensors, {})

    accelerator.wait_for_everyone()
    _check_complete(parts)
    if accelerator.is_main_process:
        counts = f"{len(captions)} captions and {len(descriptions)} local descriptions"
        _say(f"Texts: {counts} in {_size(parts)}.")


def _prepared(folder: Path, content: Content, accelerator: Accelerator) -> tuple[Parts, list[int]]:
    """The files of a cache, which may be there in part, and the missing ones that this process writes.

    Raises ValueError if the folder has a cache of something else.
    """
    if accelerator.is_main_process:
        there = Content.read(folder)
        if there is None:
            content.write(folder)
        else:
            there.check(folder, content.made_of)
        remove_leftovers(folder)
    accelerator.wait_for_everyone()
    parts = Parts(folder, content.parts, content.digest)
    own = parts.missing()[accelerator.process_index :: accelerator.num_processes]
    accelerator.wait_for_everyone()  # no file is written before all processes know what is missing
    return parts, own


def _check_complete(parts: Parts) -> None:
    if missing := parts.missing():
        raise ValueError(
            f"{parts.folder} lacks {len(missing)} of {parts.count} files. Run the command again."
        )


def _progress(items: Any, name: str, count: int, accelerator: Accelerator) -> Any:
    """A progress bar of the first process: all have about as much to do."""
    hidden = None if accelerator.is_main_process else True  # None: unless it is a terminal
    return tqdm(items, name, count, unit="", dynamic_ncols=True, disable=hidden)


def _ignore_ctrl_c(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _size(parts: Parts) -> str:
    size = sum(parts.path(number).stat().st_size for number in range(parts.count))
    return f"{parts.count} files, {size / GB:.2f} GB"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
