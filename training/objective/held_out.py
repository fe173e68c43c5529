"""The loss on held-out pictures, always with the same noises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ifadapter_diffusers.adapted_unet import BatchInstances
from ifadapter_diffusers.base_model import TEXT_ENCODERS, VAE
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import noise_target

from ..processes.group import ALONE, Processes
from .bands import BandLosses, band_means
from .denoising import InstanceDenoising, LayoutBatch, caption_conditions, training_groups
from .text_states import encode_texts
from .weights import box_weights

NOISES = 4  # of each picture, one in each quarter of the timesteps
SPREAD = (math.sqrt(5) - 1) / 2  # the fractional parts of its multiples are evenly spread
SEED, STREAM = 0, 3  # of the noise: the same in every training
INSIDE = "in_boxes"


class Pictures(Protocol):
    """Held-out pictures, see ``pictures.held_out.HeldOutPictures``."""

    def __len__(self) -> int: ...

    def batch(self, numbers: Sequence[int]) -> LayoutBatch: ...


class HeldOutLoss:
    """Measures the denoising loss on held-out pictures.

    It is comparable between trainings, whatever their losses weigh: the mean squared error with all
    conditions, with the same noise at the same timesteps each time. It leaves the global random state.

    pictures: to measure on.
    batch_size: pictures in a pass.
    """

    def __init__(self, objective: InstanceDenoising, pictures: Pictures, batch_size: int) -> None:
        self.objective, self.pictures, self.batch_size = objective, pictures, batch_size
        self._batches: dict[tuple[int, ...], LayoutBatch] = {}

    def parts(self, processes: Processes = ALONE, adapter: bool = True) -> Iterator[Tensor]:
        """The losses of this process's share, by batch: float32 (2, 1 + BANDS) sums, and numbers of rows.

        The first column is the loss inside boxes, the others are of the bands of timesteps. All batches
        of all processes add up; each process has equally many.
        adapter: False measures the base model alone.
        """
        count = len(self.pictures)
        share = processes.share(count)
        own = len(range(processes.index, count, processes.count))  # the others fill up
        for first in range(0, len(share), self.batch_size):
            numbers = share[first : min(first + self.batch_size, own)]
            if numbers:
                yield self._batch_sums(tuple(numbers), adapter)
            else:
                yield torch.zeros_like(self._batch_sums((share[first],), adapter))

    def means(self, sums: Tensor) -> dict[str, float]:
        """The mean loss as ``loss``, that inside of boxes, and that of each band, by name."""
        names = BandLosses(self._timesteps).names()
        loss = float(sums[0, 1:].sum() / sums[1, 1:].sum())
        return {"loss": loss, **band_means(sums, [INSIDE, *names])}

    @torch.no_grad()
    def _batch_sums(self, numbers: tuple[int, ...], adapter: bool) -> Tensor:
        base, batch = self.objective.base, self._encoded(numbers)
        assert batch.latents is not None
        count, shape = len(numbers), batch.latents.shape[1:]
        none = [False] * count
        conditioning = caption_conditions(base, batch, none)
        phrases = batch.text.phrases if batch.text else None
        instances = BatchInstances(
            training_groups(self.objective.adapted.adapter, base, batch.layouts, none, 1, phrases=phrases)
            if adapter
            else ()
        )
        latents = batch.latents.to(base.device)
        generators = [seeded_generator(SEED, number, STREAM) for number in numbers]
        height, width = shape[-2:]
        inside = (box_weights(batch.layouts, height, width, 0.0) == 0).to(base.device)

        bands, boxes = BandLosses(self._timesteps), torch.zeros(2)
        for part in range(NOISES):
            noise = torch.stack([torch.randn(shape, generator=each) for each in generators]).to(latents)
            places = [(part + number * SPREAD % 1) / NOISES for number in numbers]
            timesteps = torch.tensor([int(place * self._timesteps) for place in places], device=base.device)
            noisy = base.scheduler.add_noise(latents, noise, timesteps)
            target = noise_target(base.scheduler, latents, noise, timesteps)
            prediction = self.objective.adapted(
                noisy.to(base.unet.dtype), timesteps, conditioning, instances
            ).float()
            errors = (prediction - target).square().mean(dim=1)
            bands.add(timesteps, errors.mean(dim=(1, 2)))
            area = inside.sum(dim=(1, 2))
            rows = (errors * inside).sum(dim=(1, 2))[area > 0] / area[area > 0]
            boxes += torch.tensor([float(rows.sum()), len(rows)])
        return torch.cat([boxes[:, None], bands.take().cpu()], dim=1)

    def _encoded(self, numbers: tuple[int, ...]) -> LayoutBatch:
        """The pictures of these numbers as latents, encoded once and kept in the memory of the CPU.

        So are their texts, if the text encoders are set aside.
        """
        if numbers not in self._batches:
            base, batch = self.objective.base, self.pictures.batch(numbers)
            with base.present(VAE, TEXT_ENCODERS):
                latents = self.objective.latents(batch).cpu()
                text = None
                if base.texts_aside:
                    depths = self.objective.adapted.adapter.config.settings.text_depths
                    text = encode_texts(base, batch.layouts, depths).to("cpu")
            self._batches[numbers] = batch._replace(latents=latents, images=None, text=text)
        return self._batches[numbers]

    @property
    def _timesteps(self) -> int:
        return self.objective.base.scheduler.config["num_train_timesteps"]
