"""The demo's autoencoder, in Stable Diffusion's architecture.

Its latents are thumbnails: the picture at an eighth of its size, 16 x 16 cells of 3 colours for 128
pixels a side. The base model then has little to learn, and the decoder restores sharp edges.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from ifadapter_diffusers.contact_sheet import grid, to_image
from training.processes.group import ALONE, Processes

from ..dataset import Batch, Pictures
from ..sampler import HELD_OUT, World
from .config import CELL, VAELoss
from .graphed_loss import GraphedLoss

LATENT_CHANNELS = 3
SCALE = 2.0  # scaling factor: latents with a standard deviation of about one
SHEET_PICTURES = 16
PATCH = 4  # pixels along each side of a patch of ``worst_patch_error``
EDGE = 0.1  # difference of adjacent pixels, summed over the channels, that is an edge
EDGE_AREA = 2  # pixels around an edge that are not flat


def new_vae(size: int = 128) -> AutoencoderKL:
    """An untrained autoencoder of 1.0 M weights. size: side of its pictures in pixels."""
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=size,
        scaling_factor=SCALE,
        force_upcast=False,
    )


def thumbnails(images: Tensor) -> Tensor:
    """The encoder's target: mean colours of cells.

    Pictures (B, 3, H, W) in -1..1 -> scaled latents (B, 3, H / 8, W / 8).
    """
    return SCALE * F.avg_pool2d(images, CELL)


class Reconstruction(nn.Module):
    """Loss: L1 + L2 of the reconstructed picture, and L2 of the latents against ``thumbnails``.

    settings: see ``VAELoss``.
    """

    def __init__(self, vae: AutoencoderKL, settings: VAELoss) -> None:
        super().__init__()
        self.vae, self.settings = vae, settings
        if not settings.encoded:
            for part in (vae.encoder, vae.quant_conv):
                part.requires_grad_(False)

        self.graphed_loss = GraphedLoss(self, self.picture_loss)

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        images = batch.images.to(self.vae.device)
        shape = (len(images), LATENT_CHANNELS, images.shape[2] // CELL, images.shape[3] // CELL)
        noise = latent_noise(torch.Size(shape), generator, self.settings.noise)
        return self.graphed_loss(images, noise.to(images))

    def picture_loss(self, images: Tensor, noise: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in -1..1 and noise on their scaled latents -> loss ()."""
        count = math.ceil(self.settings.encoded * len(images))
        exact = thumbnails(images)
        latents, latent_error = exact, exact.new_zeros(())
        if count:
            encoded = self.vae.encode(images[:count]).latent_dist.mode().float() * SCALE
            latent_error = F.mse_loss(encoded, exact[:count])
            latents = encoded if count == len(images) else exact
        # The decoder trains on noisy latents, because those of the base model are never exact.
        decoded = self.vae.decode((latents + noise) / SCALE).sample.float()
        loss = F.l1_loss(decoded, images) + F.mse_loss(decoded, images) + latent_error
        if self.settings.worst:
            loss = loss + self.settings.worst * worst_patch_error(decoded, images)
        if self.settings.flat or self.settings.speck:
            flat = flat_errors(decoded, images)
            loss = loss + self.settings.flat * flat.mean() + self.settings.speck * speck_error(flat)
        return loss


def worst_patch_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Mean over the pictures (B, 3, H, W) of the largest mean absolute error of a patch: ()."""
    errors = F.avg_pool2d((decoded - images).abs().mean(dim=1, keepdim=True), PATCH)
    return errors.amax(dim=(1, 2, 3)).mean()


def speck_error(flat: Tensor) -> Tensor:
    """Mean over the pictures of the largest mean error of a patch away from edges: ().

    flat: see ``flat_errors``. GroupNorm with one channel a group is tempted to put an outlier into one
    place, by which it controls its statistics (Karras et al. 2020, section 2). The picture has a speck
    there, which the mean errors hardly count.
    """
    return F.avg_pool2d(flat, CELL).amax(dim=(1, 2, 3)).mean()


def flat_errors(decoded: Tensor, images: Tensor) -> Tensor:
    """Absolute errors, the mean of the colours, of pixels away from edges; 0 for the others.

    Pictures (B, 3, H, W) in -1..1 -> (B, 1, H, W). A speck on a plain area is small in the mean error,
    and the first thing that a person sees.
    """
    edges = torch.zeros_like(images[:, :1])
    across = ((images[..., 1:] - images[..., :-1]).abs().sum(dim=1, keepdim=True) > EDGE).to(edges)
    down = ((images[..., 1:, :] - images[..., :-1, :]).abs().sum(dim=1, keepdim=True) > EDGE).to(edges)
    edges = edges + F.pad(across, (1, 0)) + F.pad(across, (0, 1))
    edges = edges + F.pad(down, (0, 0, 1, 0)) + F.pad(down, (0, 0, 0, 1))
    near = F.max_pool2d(edges, 2 * EDGE_AREA + 1, stride=1, padding=EDGE_AREA) > 0
    return (decoded - images).abs().mean(dim=1, keepdim=True) * ~near


def latent_noise(shape: torch.Size, generator: torch.Generator, most: float) -> Tensor:
    """Noise like the errors of a base model: (B, C, h, w).

    Independent noise per cell plus a tint of the whole picture. Each picture has its own standard
    deviation, uniform in 0..most.
    """
    where = generator.device
    strength = most * torch.rand(shape[0], 1, 1, 1, generator=generator, device=where)
    tint = torch.randn(*shape[:2], 1, 1, generator=generator, device=where)
    return strength * (torch.randn(shape, generator=generator, device=where) + tint)


class VAEStage:
    """The training stage of the autoencoder: its loss, batches, sample sheet and weights."""

    def __init__(self, world: World, batches: Dataset[Batch], loss: VAELoss) -> None:
        self.vae = new_vae(world.size)
        self.objective = Reconstruction(self.vae, loss)
        self.held_out = Pictures(world, HELD_OUT)
        self.batches: Dataset[Any] = batches

    def sheet(self, generator: torch.Generator, processes: Processes = ALONE) -> Image.Image:
        """Held-out pictures, eight to a row, with their reconstructions below."""
        images = torch.stack([self.held_out[number][0] for number in range(SHEET_PICTURES)])
        images = images.to(self.vae.device)
        decoded = self.vae.decode(self.vae.encode(images).latent_dist.mode()).sample
        rows = [
            part[first : first + 8] for first in range(0, SHEET_PICTURES, 8) for part in (images, decoded)
        ]
        return grid([[to_image(picture) for picture in row] for row in rows])

    def save(self, folder: Path) -> None:
        self.vae.save_pretrained(folder)
