"""Scenes as torch datasets. Pictures are drawn on access; an index always gives the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .drawing import draw
from .sampler import TRAINING, World, sample_scene
from .scene import Scene


class Batch(NamedTuple):
    """A batch of pictures.

    images: float32 (B, 3, size, size) in -1..1.
    scenes: the ground truth, which includes layouts and local descriptions.
    captions: the global caption of each scene.
    """

    images: Tensor
    scenes: list[Scene]
    captions: list[str]


class Pictures(Dataset[tuple[Tensor, Scene]]):
    """The scenes of a range of indices, each with its picture: float32 (3, size, size) in -1..1.

    Use it with a DataLoader and ``collate``. To resume training at an exact step, select the batch
    by its sample numbers: ``batch(pictures, range(step * size, (step + 1) * size))``.
    """

    def __init__(self, world: World, indices: range = TRAINING) -> None:
        self.world = world
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> tuple[Tensor, Scene]:
        scene = sample_scene(self.world, self.indices[number])
        return to_tensor(scene), scene


def to_tensor(scene: Scene) -> Tensor:
    """The picture of a scene: float32 (3, size, size) in -1..1."""
    pixels = draw(scene).transpose(2, 0, 1).astype(np.float32)
    return torch.from_numpy(pixels / np.float32(127.5) - np.float32(1))


def collate(samples: Sequence[tuple[Tensor, Scene]]) -> Batch:
    images, scenes = zip(*samples, strict=True)
    return Batch(torch.stack(images), list(scenes), [scene.caption for scene in scenes])


def batch(pictures: Pictures, numbers: range) -> Batch:
    """The samples of these numbers; numbers beyond the last sample wrap around."""
    return collate([pictures[number % len(pictures)] for number in numbers])


class PictureBatches(Dataset[Batch]):
    """A dataset of whole batches of ``size`` pictures."""

    def __init__(self, pictures: Pictures, size: int) -> None:
        self.pictures = pictures
        self.size = size

    def __getitem__(self, number: int) -> Batch:
        return batch(self.pictures, range(number * self.size, (number + 1) * self.size))
