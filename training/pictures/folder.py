"""A dataset of random crops from a folder of pictures with layouts as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import SUFFIXES, picture_files, picture_size, read_picture
from ifadapter_diffusers.randomness import seeded_generator

from ..objective.denoising import LayoutBatch
from .check import bad_pictures, check_share, one_line, usable_layout
from .crop import Square, crop
from .skips import SkipList

ORDER_STREAM, CROP_STREAM = 0, 1  # purposes of random numbers


class PictureFolder(Dataset[LayoutBatch]):
    """Index -> batch of pictures (B, 3, size, size) and layouts, deterministic; shuffled each epoch.

    Pictures are read as by ``ifadapter_diffusers.pictures`` and cropped to a random square of their
    shorter side. They are not mirrored: descriptions may say left and right.

    A picture that cannot be used is skipped: the next one of the epoch's order takes its place. Headers
    and layouts are read at once, pixels when they are needed.

    folder: searched with its subfolders.
    size: side of the pictures, in pixels.
    seed: of the order and the crops.
    slots: most boxes that a layout may have; None = any number.
    max_bad: fraction of the pictures that may be skipped.
    skips: file that lists the skipped pictures.
    pictures: those of the folder to use; default: all.

    Raises ValueError that names pictures of a format that is not read, or if more than ``max_bad``
    cannot be used: broken, without a layout, with an invalid one, without boxes.
    """

    def __init__(
        self,
        folder: str | Path,
        size: int,
        batch_size: int,
        seed: int = 0,
        slots: int | None = None,
        max_bad: float = 0.0,
        skips: SkipList | None = None,
        pictures: Sequence[Path] | None = None,
    ) -> None:
        self.pictures = pictures_in(folder) if pictures is None else list(pictures)
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.slots = slots
        self.max_bad = max_bad
        self.skips = skips
        self.skipped = bad_pictures(self.pictures, slots, decode=False)
        check_share(self.skipped, len(self.pictures), max_bad)

    def __getitem__(self, number: int) -> LayoutBatch:
        first = number * self.batch_size
        samples = [self.picture(index) for index in range(first, first + self.batch_size)]
        pictures, layouts = zip(*samples, strict=True)
        return LayoutBatch(list(layouts), images=torch.stack(pictures))

    def picture(self, index: int) -> tuple[Tensor, Layout]:
        """A picture (3, size, size) in -1..1 and its layout. index: counts through all epochs."""
        epoch, rank = divmod(index, len(self.pictures))
        picture, layout = self._usable(_order(len(self.pictures), self.seed, epoch), rank)
        square, layout = crop(layout, seeded_generator(self.seed, index, CROP_STREAM))
        return square_pixels(picture, square, self.size), self._resize(layout)

    def _usable(self, order: Tensor, rank: int) -> tuple[Image.Image, Layout]:
        """The picture at a rank of an order, or the next one that can be used, and its layout.

        Raises ValueError if too many cannot.
        """
        for place in range(rank, rank + len(order)):
            path = self.pictures[order[place % len(order)]]
            if path in self.skipped:
                continue
            try:
                picture = read_picture(path)
                return picture, usable_layout(path, *picture.size, self.slots)
            except ValueError as error:
                self.skipped[path] = one_line(error)
                if self.skips:
                    self.skips.add(path, self.skipped[path])
                check_share(self.skipped, len(self.pictures), self.max_bad)
        raise ValueError("No picture can be used any more.")

    def central_layouts(self, count: int) -> list[Layout]:
        """Layouts of the first pictures, cropped to the central square."""
        paths = [path for path in self.pictures if path not in self.skipped][:count]
        layouts = [usable_layout(path, *picture_size(path, decode=False), self.slots) for path in paths]
        return [self._resize(crop(layout)[1]) for layout in layouts]

    def skip_count(self) -> str:
        """A line with the number of skipped pictures, those of the data loader's processes included."""
        count = len(self.skips.names()) if self.skips else len(self.skipped)
        where = f", see {self.skips.path}" if self.skips else ""
        return f"Skipped pictures: {count} of {len(self.pictures)}{where}.\n" if count else ""

    def _resize(self, layout: Layout) -> Layout:
        return Layout(self.size, self.size, layout.instances, layout.caption)


def square_pixels(picture: Image.Image, square: Square, size: int) -> Tensor:
    """A square of a picture, scaled: (3, size, size) in -1..1."""
    corners = (square.x, square.y, square.x + square.side, square.y + square.side)
    resized = picture.resize((size, size), Image.Resampling.LANCZOS, box=corners)
    pixels = np.asarray(resized, np.float32).transpose(2, 0, 1)
    return torch.from_numpy(pixels / np.float32(127.5) - np.float32(1))


def pictures_in(folder: str | Path) -> list[Path]:
    """The pictures of a folder and its subfolders, sorted. Raises ValueError if there are none."""
    if not Path(folder).is_dir():
        raise ValueError(f"There is no folder {folder}.")
    pictures = picture_files(Path(folder), "**/*")
    if not pictures:
        raise ValueError(f"There are no pictures in {folder}; expected {', '.join(SUFFIXES)}.")
    return pictures


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the pictures in an epoch."""
    return torch.randperm(count, generator=seeded_generator(seed, epoch, ORDER_STREAM))
