"""Scenes as torch sees them. Everything is drawn when it is asked for: an index always gives the same scene."""

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
    """images: float32 (B, 3, size, size) in -1..1. The layouts and their local descriptions are those of the scenes."""

    images: Tensor
    scenes: list[Scene]
    captions: list[str]


class Pictures(Dataset[tuple[Tensor, Scene]]):
    """The scenes of a range of indices of a world, each with its picture, float32 (3, size, size) in -1..1.

    For a torch DataLoader with ``collate``. A step of training is a range of indices too, so that a run goes on exactly
    where it stopped: ``batch(pictures, range(step * size, (step + 1) * size))``.
    """

    def __init__(self, world: World, indices: range = TRAINING) -> None:
        self.world = world
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> tuple[Tensor, Scene]:
        drawn = sample_scene(self.world, self.indices[number])
        return to_tensor(drawn), drawn


def to_tensor(drawn: Scene) -> Tensor:
    """The picture of a scene as float32 (3, size, size) in -1..1."""
    return torch.from_numpy(
        draw(drawn).transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - np.float32(1)
    )


def collate(samples: Sequence[tuple[Tensor, Scene]]) -> Batch:
    images, scenes = zip(*samples, strict=True)
    return Batch(torch.stack(images), list(scenes), [drawn.caption for drawn in scenes])


def batch(pictures: Pictures, numbers: range) -> Batch:
    """The samples of these numbers; beyond the last one it begins again with the first."""
    return collate([pictures[number % len(pictures)] for number in numbers])


class PictureBatches(Dataset[Batch]):
    """Number -> the batch of that number."""

    def __init__(self, pictures: Pictures, size: int) -> None:
        self.pictures = pictures
        self.size = size

    def __getitem__(self, number: int) -> Batch:
        return batch(self.pictures, range(number * self.size, (number + 1) * self.size))
