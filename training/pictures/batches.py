"""Batches of random crops of pictures with layouts."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_core.layout import Layout
from ifadapter_diffusers.randomness import seeded_generator

from ..objective.denoising import LayoutBatch
from .check import check_share, one_line
from .crop import Square, crop
from .samples import Samples
from .skips import SkipList

CROP_STREAM = 1  # purpose of random numbers; see ORDER_STREAM in ``samples.py``
KEPT_ORDERS = 2  # epochs whose order is kept; a batch may span two


class PictureBatches(Dataset[LayoutBatch]):
    """Index -> batch of pictures (B, 3, size, size) and layouts, deterministic; shuffled each epoch.

    Pictures are cropped to a random square of their shorter side. They are not mirrored: descriptions
    may say left and right.

    A picture that cannot be used is skipped: the next one of the epoch's order takes its place.

    samples: the pictures.
    size: side of the crops, in pixels.
    seed: of the order and the crops.
    max_bad: fraction of the pictures that may be skipped.
    skips: file that lists the skipped pictures.

    Raises ValueError that names some if more than ``max_bad`` of the pictures cannot be used.
    """

    def __init__(
        self,
        samples: Samples,
        size: int,
        batch_size: int,
        seed: int = 0,
        max_bad: float = 0.0,
        skips: SkipList | None = None,
    ) -> None:
        self.samples = samples
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.max_bad = max_bad
        self.skips = skips
        self.skipped = dict(samples.bad)
        self._orders: dict[int, Tensor] = {}
        check_share(self.skipped.values(), len(samples), max_bad)

    def __getitem__(self, number: int) -> LayoutBatch:
        first = number * self.batch_size
        samples = [self.picture(index) for index in range(first, first + self.batch_size)]
        pictures, layouts = zip(*samples, strict=True)
        return LayoutBatch(list(layouts), images=torch.stack(pictures))

    def picture(self, index: int) -> tuple[Tensor, Layout]:
        """A picture (3, size, size) in -1..1 and its layout. index: counts through all epochs."""
        epoch, rank = divmod(index, len(self.samples))
        picture, layout = self._usable(self._order(epoch), rank)
        square, layout = crop(layout, seeded_generator(self.seed, index, CROP_STREAM))
        return square_pixels(picture, square, self.size), self._resize(layout)

    def _usable(self, order: Tensor, rank: int) -> tuple[Image.Image, Layout]:
        """The picture at a rank of an order, or the next one that can be used, and its layout.

        Raises ValueError if too many cannot.
        """
        for place in range(rank, rank + len(order)):
            index = int(order[place % len(order)])
            if index in self.skipped:
                continue
            try:
                return self.samples.picture(index), self.samples.layout(index)
            except ValueError as error:
                self.skipped[index] = one_line(error)
                if self.skips:
                    self.skips.add(self.samples.where(index), self.skipped[index])
                check_share(self.skipped.values(), len(self.samples), self.max_bad)
        raise ValueError("No picture can be used any more.")

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            kept = dict(sorted(self._orders.items())[1 - KEPT_ORDERS :])
            self._orders = {**kept, epoch: self.samples.order(self.seed, epoch)}
        return self._orders[epoch]

    def central_layouts(self, count: int) -> list[Layout]:
        """Layouts of the first pictures, cropped to the central square."""
        usable = [index for index in range(len(self.samples)) if index not in self.skipped][:count]
        return [self._resize(crop(self.samples.layout(index))[1]) for index in usable]

    def skipped_places(self) -> dict[str, str]:
        """The reasons of the skipped pictures, by their paths."""
        return {self.samples.where(index): reason for index, reason in self.skipped.items()}

    def skip_count(self) -> str:
        """A line with the number of skipped pictures, those of the data loader's processes included."""
        count = len(self.skips.names()) if self.skips else len(self.skipped)
        where = f", see {self.skips.path}" if self.skips else ""
        return f"Skipped pictures: {count} of {len(self.samples)}{where}.\n" if count else ""

    def _resize(self, layout: Layout) -> Layout:
        return Layout(self.size, self.size, layout.instances, layout.caption)


def square_pixels(picture: Image.Image, square: Square, size: int) -> Tensor:
    """A square of a picture, scaled: (3, size, size) in -1..1."""
    corners = (square.x, square.y, square.x + square.side, square.y + square.side)
    resized = picture.resize((size, size), Image.Resampling.LANCZOS, box=corners)
    pixels = np.asarray(resized, np.float32).transpose(2, 0, 1)
    return torch.from_numpy(pixels / np.float32(127.5) - np.float32(1))
