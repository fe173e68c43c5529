"""Pictures that are held out from the training: which they are, and how they are read."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch

from ifadapter_core.layout import Layout

from ..config import FolderConfig
from ..cropping.buckets import Canvas
from ..cropping.crop import crop
from ..cropping.crops import window_pixels
from ..objective.denoising import LayoutBatch
from ..value_checks import percent
from .check import undecodable
from .folder import FolderSamples
from .samples import Samples, Subset
from .sources import URL, open_samples


def split(
    folder: FolderConfig, slots: int | None = None, spare: Path | None = None
) -> tuple[Samples, Samples | None]:
    """The samples of a folder to train on, and those held out, if any.

    A share is chosen by a hash of the names: the same in every run, whatever the order of the files.

    slots, spare: see ``open_samples``.

    Raises ValueError without pictures on either side, if a held-out picture is trained on, or if a folder
    without shards is to be shuffled by shards; see also ``open_samples``.
    """
    samples = open_samples(folder.path, folder, slots, spare)
    if folder.shuffle and isinstance(samples, FolderSamples):
        raise ValueError(f"shuffle is {folder.shuffle}, which is for shards; {folder.path} has none.")
    if folder.held_out is None:
        return samples, None
    if folder.held_out.endswith("%"):
        count = max(round(percent(folder, "held_out") * len(samples)), 1)
        if count == len(samples):
            raise ValueError(
                f"{folder.path} has one picture, so none can be held out. Set folder.held_out=null."
            )
        indices = range(len(samples))
        chosen = set(sorted(indices, key=lambda index: _digest(samples.name(index)))[:count])
        return (
            Subset(samples, [index for index in indices if index not in chosen]),
            Subset(samples, sorted(chosen)),
        )
    if not URL.match(folder.held_out) and not Path(folder.held_out).exists():
        raise ValueError(
            f"There is no folder {folder.held_out}, which folder.held_out names. "
            "Give a folder, a share of the pictures, such as 2%, or null for none."
        )
    held_out = open_samples(folder.held_out, folder, slots, spare)
    places, contents = set(_origins(samples)), {samples.identity(index) for index in range(len(samples))}
    origins = enumerate(_origins(held_out))
    if both := [n for n, place in origins if place in places or held_out.identity(n) in contents]:
        raise ValueError(
            f"{len(both)} of the pictures in folder.held_out are trained on too, among them "
            f"{held_out.where(both[0])}. Move them, or give a share, such as folder.held_out=2%."
        )
    return samples, held_out


def _origins(samples: Samples) -> list[str]:
    """Where each sample is, whatever the path that leads there."""
    return [os.path.realpath(samples.where(index)) for index in range(len(samples))]


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


class HeldOutPictures:
    """Pictures with layouts, cropped to the central square.

    Pictures that cannot be used are left out, with a warning.
    samples: to choose from.
    size: side of the pictures, in pixels.
    count: most pictures to use; they are chosen by a hash of their names.

    Raises ValueError if none can be used.
    """

    def __init__(self, samples: Samples, size: int, count: int) -> None:
        names = [PurePosixPath(samples.name(index)).name for index in range(len(samples))]
        chosen = sorted(range(len(samples)), key=lambda index: _digest(names[index]))[:count]
        bad = undecodable(samples, chosen)
        if bad:
            logging.warning("%d held-out pictures are left out: %s", len(bad), " ".join(bad.values()))
        self.samples = Subset(samples, sorted(set(chosen) - set(bad)))
        if not len(self.samples):
            raise ValueError(f"None of the {len(chosen)} held-out pictures can be used.")
        self.canvas = Canvas(size, size)

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, numbers: Sequence[int]) -> LayoutBatch:
        """The pictures of these numbers."""
        crops = [crop(self.samples.layout(number), self.canvas) for number in numbers]
        images = [
            window_pixels(self.samples.picture(number), cropped.window, self.canvas)
            for number, cropped in zip(numbers, crops, strict=True)
        ]
        return LayoutBatch(
            [cropped.layout for cropped in crops],
            images=torch.stack(images),
            sizes=[cropped.size for cropped in crops],
        )

    def layouts(self, count: int) -> list[Layout]:
        """The layouts of the first pictures."""
        numbers = range(min(count, len(self)))
        return [crop(self.samples.layout(number), self.canvas).layout for number in numbers]
