"""Pictures as latents, each encoded once: what comes back later is read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .dataset import Pictures

ENCODED_AT_ONCE = 8  # pictures; more do not fit into a processor's cache


def latent_shape(vae: AutoencoderKL, height: int, width: int) -> tuple[int, int, int]:
    """Channels, rows and columns of the latents of height x width pixels."""
    scale = 2 ** (len(vae.config["block_out_channels"]) - 1)
    return vae.config["latent_channels"], height // scale, width // scale


class LatentCache:
    """The scaled latents (C, h, w) of pictures 0 .. count - 1, in a float16 file that is filled as they are asked for."""

    def __init__(self, path: Path, vae: AutoencoderKL, pictures: Pictures, count: int) -> None:
        self.vae = vae
        self.pictures = pictures
        shape = (count, *latent_shape(vae, pictures.world.size, pictures.world.size))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # NaN = not yet encoded
            empty = np.lib.format.open_memmap(path.with_suffix(".new"), mode="w+", dtype=np.float16, shape=shape)
            empty[:] = np.nan
            empty.flush()
            path.with_suffix(".new").replace(path)
        self.latents = np.lib.format.open_memmap(path, mode="r+")
        if self.latents.shape != shape:
            raise ValueError(f"{path} holds latents of shape {self.latents.shape}, not {shape}. Remove it; it will be made again.")

    def __len__(self) -> int:
        return len(self.latents)

    def __getitem__(self, numbers: list[int]) -> Tensor:
        """Latents (len(numbers), C, h, w), float32."""
        missing = [number for number in dict.fromkeys(numbers) if np.isnan(self.latents[number, 0, 0, 0])]
        if missing:
            images = torch.stack([self.pictures[number][0] for number in missing])
            encoded = torch.cat([encode(self.vae, part) for part in images.split(ENCODED_AT_ONCE)])
            self.latents[missing] = encoded.cpu().numpy().astype(np.float16)
        return torch.from_numpy(self.latents[numbers].astype(np.float32))


@torch.no_grad()
def encode(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in -1..1 -> scaled latents (B, C, h, w), float32."""
    with torch.autocast(vae.device.type, enabled=False):
        return vae.encode(images.to(vae.device, vae.dtype)).latent_dist.mode().float() * vae.config["scaling_factor"]


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Scaled latents (B, C, h, w) -> pictures (B, 3, H, W), about -1..1, float32."""
    return vae.decode((latents / vae.config["scaling_factor"]).to(vae.dtype)).sample.float()
