"""Latents of fixed crops."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from ..cropping.crops import Crops, window_pixels
from ..pictures.check import one_line
from .parts import CacheError, Parts

FOLDER = "latents"
PER_PART = 256  # crops in a file
BAD = "bad"


class Image(NamedTuple):
    """A crop to encode: its number among all, and its pixels (3, H, W) in -1..1, or why there are none."""

    number: int
    pixels: Tensor | None
    reason: str = ""


class CropImages(Dataset[Image]):
    """Number of a crop -> its pixels. The crops of a picture have adjacent numbers."""

    def __init__(self, crops: Crops) -> None:
        self.crops = crops

    def __getitem__(self, number: int) -> Image:
        sample, crop = divmod(number, self.crops.count)
        samples, canvas = self.crops.samples, self.crops.canvases[sample]
        try:
            if sample in samples.bad:
                raise ValueError(samples.bad[sample])
            assert canvas is not None
            window = self.crops.fixed(sample, crop).window
            return Image(number, window_pixels(samples.picture(sample), window, canvas))
        except ValueError as error:
            return Image(number, None, one_line(error))


def part_count(crops: Crops) -> int:
    return -(-len(crops.samples) * crops.count // PER_PART)


def numbers_of(part: int, crops: Crops) -> range:
    """The numbers of the crops in a file."""
    return range(part * PER_PART, min((part + 1) * PER_PART, len(crops.samples) * crops.count))


def write_part(parts: Parts, number: int, latents: Mapping[int, Tensor], bad: Mapping[int, str]) -> None:
    """latents: by the number of the crop. bad: the reasons why crops have none."""
    tensors = {str(crop): tensor for crop, tensor in latents.items()}
    parts.write(number, tensors, {BAD: json.dumps({str(crop): reason for crop, reason in bad.items()})})


def bad_samples(parts: Parts, crops: Crops) -> dict[int, str]:
    """The samples that could not be encoded, with the reasons."""
    found: dict[int, str] = {}
    for part in range(parts.count):
        noted = json.loads(parts.notes(part)[BAD])
        found |= {int(number) // crops.count: reason for number, reason in noted.items()}
    return found


class CachedLatents:
    """The latents of fixed crops, from a cache.

    count: fixed crops of each picture.
    """

    def __init__(self, parts: Parts, count: int) -> None:
        self.parts, self.count = parts, count

    def read(self, sample: int, epoch: int) -> Tensor:
        """The latents (C, h, w) of the crop that an epoch shows.

        Raises ValueError with the reason, if the picture could not be decoded for the cache.
        """
        number = sample * self.count + epoch % self.count
        part = number // PER_PART
        try:
            return self.parts.tensor(part, str(number))
        except KeyError:
            reason = json.loads(self.parts.notes(part)[BAD]).get(str(number))
            if reason is None:
                raise CacheError(f"{self.parts.path(part)} does not have crop {number}.") from None
            raise ValueError(reason) from None
