"""Pictures to latents and back, by an autoencoder."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor


def latent_shape(vae: AutoencoderKL, height: int, width: int) -> tuple[int, int, int]:
    """Channels, rows and columns of the latents of a picture of height x width pixels."""
    scale = 2 ** (len(vae.config["block_out_channels"]) - 1)
    return vae.config["latent_channels"], height // scale, width // scale


def load_vae(name: str, replaced: AutoencoderKL, dtype: torch.dtype) -> AutoencoderKL:
    """An autoencoder in place of another one, whose latents it must have.

    name: a folder in diffusers' format, or a Hugging Face hub name.

    Raises ValueError if it cannot be loaded, or has latents of another shape or scale.
    """
    try:
        vae = AutoencoderKL.from_pretrained(name, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"vae: {name} cannot be loaded ({str(error).splitlines()[0]}). Give a folder with the "
            "config.json and the weights of an AutoencoderKL, or a name on the Hugging Face hub."
        ) from error
    for key in ("latent_channels", "scaling_factor"):
        if vae.config[key] != replaced.config[key]:
            raise ValueError(
                f"vae: {name} has {key} {vae.config[key]}, and the base model's own {replaced.config[key]}. "
                "Give an autoencoder of the same latents, or leave vae out."
            )
    if latent_shape(vae, 512, 512) != latent_shape(replaced, 512, 512):
        raise ValueError(f"vae: {name} has latents of another size than the base model's own.")
    return vae


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
