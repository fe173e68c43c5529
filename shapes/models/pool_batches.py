"""Batches of a pool, on the device that trains: nothing is drawn, tokenized or copied in a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ifadapter_diffusers.randomness import seeded_generator

from ..dataset import Batch
from .config import CELL
from .pool import Arrays
from .vae import SCALE


class PoolBatch(NamedTuple):
    """B scenes of at most S instances.

    latents: float32 (B, C, h, w), scaled.
    captions: int16 (B, 3, 77) token ids of ``pool.CAPTIONS``.
    boxes: float32 (B, S, 4) x0 y0 x1 y1 in 0..1.
    present: bool (B, S), False beyond the instances of a scene.
    descriptions: int64 (B, S) number of each local description.
    """

    latents: Tensor
    captions: Tensor
    boxes: Tensor
    present: Tensor
    descriptions: Tensor


class Shuffled:
    """Batches of ``size`` numbers below ``count``, in a new order in each epoch.

    Raises ValueError if there are fewer numbers than in one batch.
    """

    def __init__(self, count: int, size: int, seed: int, device: torch.device) -> None:
        if count < size:
            raise ValueError(
                f"The pool has {count} pictures, a batch {size}. Draw more, or lower batch_size."
            )
        self.count, self.size, self.seed, self.device = count, size, seed, device
        self._epoch, self._order = -1, torch.empty(0)

    def __getitem__(self, number: int) -> Tensor:
        """int64 (size,). The last incomplete batch of an epoch is left out."""
        epoch, position = divmod(number, self.count // self.size)
        if epoch != self._epoch:
            generator = seeded_generator(self.seed, epoch, device=self.device)
            self._order = torch.randperm(self.count, generator=generator, device=self.device)
            self._epoch = epoch
        return self._order[position * self.size : (position + 1) * self.size]


class PixelBatches(Dataset[Batch]):
    """Batches of pictures, for the autoencoder."""

    def __init__(self, pixels: NDArray[np.uint8], size: int, seed: int, device: torch.device) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)
        self.numbers = Shuffled(len(pixels), size, seed, device)
        self.size = size

    def __getitem__(self, number: int) -> Batch:
        pixels = self.pixels[self.numbers[number]].movedim(-1, 1).float()
        return Batch((pixels / 127.5 - 1).contiguous(), [], [])


@dataclass(frozen=True)
class PoolTensors:
    """The arrays of a pool on a device; see ``PoolBatch``.

    descriptions: the distinct local descriptions.
    """

    scenes: PoolBatch
    descriptions: list[str]

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, descriptions: list[str], chosen: NDArray[np.int64], device: torch.device
    ) -> PoolTensors:
        """descriptions, chosen: of ``Pool.wait``."""
        means = torch.from_numpy(arrays.cells).to(device).movedim(-1, 1).float() / CELL**2
        counts = torch.from_numpy(arrays.counts).to(device)
        slots = torch.arange(arrays.boxes.shape[1], device=device)
        return cls(
            PoolBatch(
                latents=(SCALE * (means / 127.5 - 1)).contiguous(),
                captions=torch.from_numpy(arrays.captions).to(device),
                boxes=torch.from_numpy(arrays.boxes).to(device),
                present=slots < counts[:, None],
                descriptions=torch.from_numpy(chosen).to(device),
            ),
            descriptions,
        )


class PoolBatches(Dataset[PoolBatch]):
    """Batches of latents, captions and instances, for the UNet and the adapter."""

    def __init__(self, tensors: PoolTensors, size: int, seed: int) -> None:
        self.scenes = tensors.scenes
        self.numbers = Shuffled(len(self.scenes.latents), size, seed, self.scenes.latents.device)
        self.size = size

    def __getitem__(self, number: int) -> PoolBatch:
        chosen = self.numbers[number]
        return PoolBatch(*(tensor[chosen] for tensor in self.scenes))
