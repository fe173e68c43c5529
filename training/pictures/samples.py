"""Sources of pictures with layouts, as the batches and caches see them: samples by index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_diffusers.randomness import seeded_generator

Numbers = Sequence[int] | npt.NDArray[np.int64]
ORDER_STREAM = 0  # purpose of random numbers; see CROP_STREAM in ``batches.py``


class Samples(Protocol):
    """Pictures with layouts, numbered from 0.

    A source knows nothing of crops and batches. It can be pickled, for data loader processes.
    """

    @property
    def bad(self) -> Mapping[int, str]:
        """The samples that cannot be used, each with the reason in one line. Found without decoding."""
        ...

    def __len__(self) -> int:
        """Number of the samples, the bad ones included."""
        ...

    def name(self, index: int) -> str:
        """Stable and unique: the path relative to the folder, such as ``more/dog.jpg``."""
        ...

    def where(self, index: int) -> str:
        """The sample in messages and lists: a path."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """Width and height in pixels, after the EXIF orientation. Does not decode.

        Raises ValueError if the sample is bad.
        """
        ...

    def layout(self, index: int) -> Layout:
        """The layout, on a canvas of the picture's size. Raises ValueError if the sample is bad."""
        ...

    def picture(self, index: int) -> Image.Image:
        """The picture in RGB, of ``size``. Raises ValueError if it cannot be read."""
        ...

    def check(self, index: int) -> None:
        """Decode the picture, as fast as its format can. Raises ValueError if the sample cannot be used."""
        ...

    def identity(self, index: int) -> str:
        """Hash of name, sizes of the files, and layout."""
        ...

    def order(self, seed: int, epoch: int, among: Numbers | None = None) -> Tensor:
        """The order of an epoch: int64 (number of samples) positions.

        among: indices of the samples to order; the result counts in it. None = all.
        """
        count = len(self) if among is None else len(among)
        return torch.randperm(count, generator=seeded_generator(seed, epoch, ORDER_STREAM))

    def fingerprint(self, among: Numbers | None = None) -> str:
        """Hash of everything that decides what is trained in which order, in hexadecimal digits.

        among: indices of the samples that count; None = all.
        """
        digest = hashlib.sha256()
        for index in range(len(self)) if among is None else among:
            digest.update(self.identity(int(index)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class Subset(Samples):
    """Some samples of a source, numbered anew.

    indices: of the samples, in their order.
    """

    def __init__(self, samples: Samples, indices: Numbers) -> None:
        self.samples, self.indices = samples, np.asarray(indices, np.int64)
        bad = np.fromiter(samples.bad, np.int64)
        found = np.flatnonzero(np.isin(self.indices, bad)).tolist()
        self._bad = {number: samples.bad[int(self.indices[number])] for number in found}

    @property
    def bad(self) -> Mapping[int, str]:
        return self._bad

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.samples.name(int(self.indices[index]))

    def where(self, index: int) -> str:
        return self.samples.where(int(self.indices[index]))

    def size(self, index: int) -> tuple[int, int]:
        return self.samples.size(int(self.indices[index]))

    def layout(self, index: int) -> Layout:
        return self.samples.layout(int(self.indices[index]))

    def picture(self, index: int) -> Image.Image:
        return self.samples.picture(int(self.indices[index]))

    def check(self, index: int) -> None:
        self.samples.check(int(self.indices[index]))

    def identity(self, index: int) -> str:
        return self.samples.identity(int(self.indices[index]))

    def order(self, seed: int, epoch: int, among: Numbers | None = None) -> Tensor:
        return self.samples.order(seed, epoch, self._chosen(among))

    def fingerprint(self, among: Numbers | None = None) -> str:
        return self.samples.fingerprint(self._chosen(among))

    def _chosen(self, among: Numbers | None) -> npt.NDArray[np.int64]:
        """Indices in the source of all samples, or of those with the numbers ``among``."""
        return self.indices if among is None else self.indices[np.asarray(among, np.int64)]
