"""Batches of crops of pictures with layouts."""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_core.layout import Layout

from ..cache.opening import Caches
from ..cropping.buckets import Canvas
from ..cropping.crop import Crop, crop
from ..cropping.crops import Crops, window_pixels
from ..cropping.plan import BatchPlan, Use
from ..objective.denoising import LayoutBatch
from .check import check_share, one_line
from .skips import SkipList


class PictureBatches(Dataset[LayoutBatch]):
    """Index -> batch of pictures of one canvas and their layouts, deterministic; shuffled each epoch.

    Pictures are not mirrored: descriptions may say left and right. ``BatchPlan`` tells which are in a
    batch. One that cannot be used is skipped: the next one of the epoch's order takes its place.

    crops: the pictures, and where they are cropped.
    seed: of the order.
    max_bad: fraction of the pictures that may be skipped.
    skips: file that lists the skipped pictures.
    caches: what is read in place of pictures and texts. Set after construction.

    Raises ValueError that names some if more than ``max_bad`` of the pictures cannot be used.
    """

    def __init__(
        self,
        crops: Crops,
        batch_size: int,
        seed: int = 0,
        max_bad: float = 0.0,
        skips: SkipList | None = None,
    ) -> None:
        self.samples = crops.samples
        self.crops = crops
        self.batch_size = batch_size
        self.seed = seed
        self.max_bad = max_bad
        self.skips = skips
        self.skipped = dict(self.samples.bad)
        check_share(self.skipped.values(), len(self.samples), max_bad)
        self.caches = Caches()
        self.plan = BatchPlan(crops.canvases, batch_size, self._order)

    def __getitem__(self, number: int) -> LayoutBatch:
        canvas, uses = self.plan(number)
        found, crops = zip(*(self._usable(use, canvas) for use in uses), strict=True)
        layouts, pixels = [cropped.layout for cropped in crops], torch.stack(found)
        cached, texts = self.caches.latents is not None, self.caches.texts
        return LayoutBatch(
            layouts,
            latents=pixels if cached else None,
            images=None if cached else pixels,
            text=texts.of(layouts) if texts else None,
            sizes=[cropped.size for cropped in crops],
        )

    def _usable(self, use: Use, canvas: Canvas) -> tuple[Tensor, Crop]:
        """The picture of a use, or the next one that can be used: its pixels or latents, and its crop.

        Raises ValueError if too many cannot.
        """
        others = () if self.caches.latents or self.caches.texts else range(len(self.samples))
        for sample in chain(use.samples, others):
            if sample in self.skipped:
                continue
            try:
                cropped = self.crops.of_use(sample, use, canvas)
                if self.caches.latents is not None:
                    return self.caches.latents.read(sample, use.epoch), cropped
                return window_pixels(self.samples.picture(sample), cropped.window, canvas), cropped
            except ValueError as error:
                self.skipped[sample] = one_line(error)
                if self.skips:
                    self.skips.add(self.samples.where(sample), self.skipped[sample])
                check_share(self.skipped.values(), len(self.samples), self.max_bad)
        raise ValueError(f"No picture of {canvas.width} x {canvas.height} pixels can be used any more.")

    def _order(self, epoch: int) -> Tensor:
        return self.samples.order(self.seed, epoch)

    def central_layouts(self, count: int, size: int) -> list[Layout]:
        """Layouts of the first pictures, cropped to the central square of size x size pixels."""
        usable = [index for index in range(len(self.samples)) if index not in self.skipped][:count]
        return [crop(self.samples.layout(index), Canvas(size, size)).layout for index in usable]

    def skipped_places(self) -> dict[str, str]:
        """The reasons of the skipped pictures, by their paths."""
        return {self.samples.where(index): reason for index, reason in self.skipped.items()}

    def skip_count(self) -> str:
        """A line with the number of skipped pictures, those of the data loader's processes included."""
        count = len(self.skips.names()) if self.skips else len(self.skipped)
        where = f", see {self.skips.path}" if self.skips else ""
        return f"Skipped pictures: {count} of {len(self.samples)}{where}.\n" if count else ""
