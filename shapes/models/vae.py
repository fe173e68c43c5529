"""The demo's autoencoder, in the architecture of Stable Diffusion's. Its latents are the picture itself at an eighth of its size, so
that the base model has little to learn: 16x16 cells of 3 colours for 128 pixels a side. The decoder draws sharp edges again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from ifadapter_diffusers.contact_sheet import grid, to_image

from ..dataset import Batch, PictureBatches, Pictures
from ..sampler import HELD_OUT, World

LATENT_CHANNELS = 3
CELL = 8  # pixels along each side of what one latent cell stands for
SCALE = 2.0  # gives latents a standard deviation of about one
NOISE = 0.3  # at most, on the latents that the decoder learns from: those of a base model are never exact


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=128,
        scaling_factor=SCALE,
        force_upcast=False,
    )


def thumbnails(images: Tensor) -> Tensor:
    """What the encoder is to give: the mean colours of cells. Pictures (B, 3, H, W) in -1..1 -> scaled latents (B, 3, h, w)."""
    return SCALE * F.avg_pool2d(images, CELL)


class Reconstruction(nn.Module):
    """The encoder's error against ``thumbnails``, and the mean absolute and squared error of the picture."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        images = batch.images.to(self.vae.device)
        latents = self.vae.encode(images).latent_dist.mode().float() * SCALE
        decoded = self.vae.decode(
            (latents + inexactness(latents.shape, generator).to(latents)) / SCALE
        ).sample.float()
        return (
            F.l1_loss(decoded, images) + F.mse_loss(decoded, images) + F.mse_loss(latents, thumbnails(images))
        )


def inexactness(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Noise as on a base model's latents (B, C, h, w): on every cell, and a tint of the whole picture. Much on some, little on others."""
    strength = NOISE * torch.rand(shape[0], 1, 1, 1, generator=generator)
    tint = torch.randn(*shape[:2], 1, 1, generator=generator)
    return strength * (torch.randn(shape, generator=generator) + tint)


class VAEStage:
    def __init__(self, world: World, batch_size: int) -> None:
        self.vae = new_vae()
        self.objective = Reconstruction(self.vae)
        self.held_out = Pictures(world, HELD_OUT)
        self.batches: Dataset[Any] = PictureBatches(Pictures(world), batch_size)

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Drawings above, what comes back below."""
        images = torch.stack([self.held_out[number][0] for number in range(16)]).to(self.vae.device)
        decoded = self.vae.decode(self.vae.encode(images).latent_dist.mode()).sample
        return grid(
            [
                [to_image(picture) for picture in row]
                for half in (0, 8)
                for row in (images[half : half + 8], decoded[half : half + 8])
            ]
        )

    def save(self, folder: Path) -> None:
        self.vae.save_pretrained(folder)
