"""How the pictures of a source are cropped: to which canvas, and where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ifadapter_diffusers.randomness import seeded_generator

from ..config import FolderConfig
from ..pictures.samples import Samples
from .buckets import SIDE_UNIT, Canvas, bucket_canvases, sdxl_canvases
from .crop import Crop, Window, crop
from .plan import Use

CROP_STREAM, FIXED_CROP_STREAM = (
    1,
    2,
)  # purposes of random numbers; see ORDER_STREAM


class Crops:
    """The crops of samples.

    samples: the pictures.
    canvases: of each sample; None for a bad one.
    buckets: whether pictures keep about their shapes. Then crops prefer whole boxes.
    count: fixed crops of each picture, which the epochs take in turn; 0 = a new random one at each use.
    seed: of the crops.
    """

    def __init__(
        self,
        samples: Samples,
        canvases: Sequence[Canvas | None],
        buckets: bool = False,
        count: int = 0,
        seed: int = 0,
    ) -> None:
        self.samples, self.canvases = samples, canvases
        self.buckets, self.count, self.seed = buckets, count, seed

    def of_use(self, sample: int, use: Use, canvas: Canvas) -> Crop:
        """The crop of a sample at a use of it, or of the one whose place it takes."""
        if self.count:
            return self.fixed(sample, use.epoch % self.count, canvas)
        return self._crop(sample, canvas, seeded_generator(self.seed, use.index, CROP_STREAM))

    def fixed(self, sample: int, number: int, canvas: Canvas | None = None) -> Crop:
        """One of the fixed crops of a sample. canvas: default: that of the sample."""
        name = hashlib.sha256(self.samples.name(sample).encode("utf-8", "surrogatepass")).digest()
        stream = (int.from_bytes(name[:7], "big"), number, FIXED_CROP_STREAM)
        canvas = canvas or self.canvases[sample]
        assert canvas is not None, "a bad sample has no crops"
        return self._crop(sample, canvas, seeded_generator(self.seed, *stream))

    def _crop(self, sample: int, canvas: Canvas, generator: torch.Generator) -> Crop:
        return crop(self.samples.layout(sample), canvas, generator, whole_boxes=self.buckets)


def square_crops(samples: Samples, size: int, count: int = 0, seed: int = 0) -> Crops:
    """Square crops of size x size pixels."""
    return Crops(samples, [Canvas(size, size)] * len(samples), False, count, seed)


def bucketed_crops(samples: Samples, size: int, batch_size: int, count: int = 0, seed: int = 0) -> Crops:
    """Crops of SDXL's shapes, each of at least ``batch_size`` pictures.

    size: side of the square among them, in pixels.
    """
    usable = [index for index in range(len(samples)) if index not in samples.bad]
    found = bucket_canvases([samples.size(index) for index in usable], sdxl_canvases(size), batch_size)
    canvases: list[Canvas | None] = [None] * len(samples)
    for index, canvas in zip(usable, found, strict=True):
        canvases[index] = canvas
    return Crops(samples, canvases, True, count, seed)


def check_size(folder: FolderConfig) -> None:
    """Raises ValueError for a size whose latents are not halved evenly."""
    if folder.size % SIDE_UNIT:
        raise ValueError(f"folder: size is {folder.size}; expected a multiple of {SIDE_UNIT}.")


def configured_crops(folder: FolderConfig, samples: Samples, batch_size: int, seed: int) -> Crops:
    """The crops that the settings ask for."""
    if folder.aspect == "buckets":
        return bucketed_crops(samples, folder.size, batch_size, folder.crops, seed)
    return square_crops(samples, folder.size, folder.crops, seed)


def window_pixels(picture: Image.Image, window: Window, canvas: Canvas) -> Tensor:
    """A part of a picture, scaled to a canvas: (3, height, width) in -1..1."""
    resized = picture.resize(canvas, Image.Resampling.LANCZOS, box=window.corners)
    pixels = np.asarray(resized, np.float32).transpose(2, 0, 1)
    return torch.from_numpy(pixels / np.float32(127.5) - np.float32(1))
