"""Pictures to latents and back, by an autoencoder."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor


def latent_shape(vae: AutoencoderKL, height: int, width: int) -> tuple[int, int, int]:
    """Channels, rows and columns of the latents of a picture of height x width pixels."""
    scale = 2 ** (len(vae.config["block_out_channels"]) - 1)
    return vae.config["latent_channels"], height // scale, width // scale


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in -1..1 -> scaled latents (B, C, h, w), float32, without sampling."""
    with torch.autocast(vae.device.type, enabled=False):  # SDXL's autoencoder overflows in float16
        posterior = vae.encode(images.to(vae.device, vae.dtype)).latent_dist
        return posterior.mode().float() * vae.config["scaling_factor"]


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Scaled latents (B, C, h, w) -> pictures (B, 3, H, W), about -1..1, float32."""
    return vae.decode((latents / vae.config["scaling_factor"]).to(vae.dtype)).sample.float()
