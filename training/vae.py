"""The demo's autoencoder: 128-pixel pictures to 16x16 latents of 8 channels, in the architecture of Stable Diffusion's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from .dataset import Batch, PictureBatches, Pictures
from .sheet import grid, to_image
from .world import HELD_OUT, World

LATENT_CHANNELS = 8
KL_WEIGHT = 2e-4
SCALE_SAMPLES = 256  # pictures on which the size of latents is measured


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=128,
        force_upcast=False,
    )


class Reconstruction(nn.Module):
    """Mean absolute and squared error of the picture, and a small pull of the latents towards a unit normal."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        images = batch.images.to(self.vae.device)
        posterior = self.vae.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
        decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample.float()
        kl = 0.5 * (posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        return F.l1_loss(decoded, images) + F.mse_loss(decoded, images) + KL_WEIGHT * kl


class VAEStage:
    """vae: one whose decoder alone is trained on; its latents stay as they are."""

    def __init__(self, world: World, batch_size: int, vae: AutoencoderKL | None = None) -> None:
        self.vae = new_vae() if vae is None else vae
        self.decoder_only = vae is not None
        if self.decoder_only:
            self.vae.encoder.requires_grad_(False)
            self.vae.quant_conv.requires_grad_(False)
        self.objective = Reconstruction(self.vae)
        self.world = world
        self.batches: Dataset[Any] = PictureBatches(Pictures(world), batch_size)

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Drawings above, what comes back below."""
        images = _pictures(self.world, 16, self.vae)
        decoded = self.vae.decode(self.vae.encode(images).latent_dist.mode()).sample
        return grid(
            [[to_image(picture) for picture in row] for half in (0, 8) for row in (images[half : half + 8], decoded[half : half + 8])]
        )

    def save(self, folder: Path) -> None:
        """In diffusers' format, with the scale that gives latents a standard deviation of one."""
        if not self.decoder_only:
            with torch.no_grad():
                latents = self.vae.encode(_pictures(self.world, SCALE_SAMPLES, self.vae)).latent_dist.mode()
            self.vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))
        self.vae.save_pretrained(folder)


def _pictures(world: World, count: int, vae: AutoencoderKL) -> Tensor:
    pictures = Pictures(world, HELD_OUT)
    return torch.stack([pictures[number][0] for number in range(count)]).to(vae.device)
