"""The shipped base model fine-tuned to a look, and merged with a low-rank part of that update."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.painter import Painter

from ...models.config import VAELoss
from ...models.pool_batches import PixelBatches
from ...models.pool_stages import pool_unet_stage
from ...models.unet import UNetStage
from ...models.vae import VAEStage
from ..cache import write_atomic
from ..studio import Studio
from .budget import DENOISER, DONE, loop_config, loop_recipe, new_base, scenes_recipe, settings, train_once

UNET_RATE, VAE_RATE = 5e-4, 1e-3  # learning rates; the base model's own training ended at zero
VAE_BATCH = 4  # a quarter of the adapters' batch: pictures are larger than latents
DECODER = "vae"  # the part of the shipped models
VAE_LOSS = VAELoss(encoded=0.25, worst=0.05)  # as in the demo's training


@dataclass(frozen=True)
class FineTuned:
    """The base model on a look, with the shipped adapter, which has not seen it.

    The UNet learns the look, with the text encoder frozen, and so does the autoencoder's decoder: the
    demo's latents are thumbnails, from which the decoder draws the look's edges and lines.

    look: a key of LOOKS.
    rank: of the low-rank update of each weight matrix of the UNet; None = the whole update.
    part: how much of the update is merged, 0..1.
    """

    look: str
    rank: int | None = None
    part: float = 1.0

    def settings(self) -> dict[str, Any]:
        return {"models": "fine-tuned base", "look": self.look, "rank": self.rank, "part": self.part}

    def recipe(self, studio: Studio) -> dict[str, Any]:
        return {"unet": unet_recipe(studio, self.look), DECODER: vae_recipe(studio, self.look)}

    def painter(self, studio: Studio) -> Painter:
        """Fine-tunes the base model first if the cache does not have it."""
        options = studio.options
        return Painter(
            self._folder(studio),
            options.seed,
            options.steps,
            options.guidance,
            adapter=options.demo / "ifadapter.safetensors",
            device=options.device,
        )

    def place(self, studio: Studio) -> Path:
        """The folder of the merged base model."""
        described = settings(studio, self, self.recipe(studio), (*DENOISER, DECODER))
        return studio.cache.place("merged", described)

    def _folder(self, studio: Studio) -> Path:
        """The same, with the merged base model in it."""
        folder = self.place(studio)
        if not (folder / DONE).exists():
            unet, vae = fine_tuned(studio, self.look)
            base = new_base(studio).to("cpu")
            tuned_unet = UNet2DConditionModel.from_pretrained(unet)
            merge(base.unet, tuned_unet.state_dict(), self.part, self.rank)
            merge(base.vae, AutoencoderKL.from_pretrained(vae).state_dict(), self.part)
            for name in ("text_encoder", "tokenizer", "scheduler"):
                shutil.copytree(studio.options.demo / name, folder / name, dirs_exist_ok=True)
            shutil.copyfile(studio.options.demo / "model_index.json", folder / "model_index.json")
            base.unet.save_pretrained(folder / "unet")
            base.vae.save_pretrained(folder / "vae")
            write_atomic(folder / DONE, b"")
        return folder


def merge(module: Any, tuned: dict[str, Tensor], part: float, rank: int | None = None) -> None:
    """Add a part of the update from the module's weights to the tuned ones, in place.

    rank: matrices get their best approximation of this rank, other weights stay; None = the whole update.
    """
    weights = module.state_dict()
    for name, weight in weights.items():
        update = tuned[name].float() - weight.float()
        if rank is not None:
            update = low_rank(update, rank) if weight.ndim > 1 else torch.zeros_like(update)
        weights[name] = (weight.float() + part * update).to(weight.dtype)
    module.load_state_dict(weights)


def low_rank(update: Tensor, rank: int) -> Tensor:
    """The best approximation of a weight (out, ...) by a matrix of this rank."""
    u, s, v = torch.linalg.svd(update.flatten(1), full_matrices=False)
    return (u[:, :rank] * s[:rank] @ v[:rank]).view_as(update)


def fine_tuned(studio: Studio, look: str) -> tuple[Path, Path]:
    """The folders of the fine-tuned UNet and autoencoder, which are trained if they do not exist."""
    trained = []
    for name, parts, make, rate, recipe in (
        ("unet", DENOISER, unet_stage, UNET_RATE, unet_recipe(studio, look)),
        (DECODER, (DECODER,), vae_stage, VAE_RATE, vae_recipe(studio, look)),
    ):
        folder = studio.cache.place("bases", settings(studio, FineTuned(look), recipe, parts))
        loop = loop_config(studio, rate)
        trained.append(train_once(folder / name, partial(make, studio, look), loop, studio.kind))
    return trained[0] / "unet", trained[1]


def unet_recipe(studio: Studio, look: str) -> dict[str, Any]:
    """The settings that the UNet's training reads."""
    return {
        "scenes": scenes_recipe(studio, look),
        "batch": studio.options.train_batch,
        "loop": loop_recipe(loop_config(studio, UNET_RATE)),
    }


def vae_recipe(studio: Studio, look: str) -> dict[str, Any]:
    """The settings that the autoencoder's training reads."""
    return {
        "scenes": scenes_recipe(studio, look),
        "batch": vae_batch(studio),
        "loss": asdict(VAE_LOSS),
        "loop": loop_recipe(loop_config(studio, VAE_RATE)),
    }


def vae_batch(studio: Studio) -> int:
    return max(studio.options.train_batch // VAE_BATCH, 1)


def unet_stage(studio: Studio, look: str) -> UNetStage:
    """The stage of the UNet on a look, from the shipped weights; the text encoder is frozen."""
    tensors, _ = studio.pool(look)
    base: BaseModel = new_base(studio)
    stage = pool_unet_stage(
        studio.world,
        base.tokenizers[0],
        tensors,
        studio.options.train_batch,
        studio.options.seed,
        base.vae,
    )
    objective: Any = stage.objective
    objective.unet.load_state_dict(base.unet.state_dict())
    objective.text_encoder.load_state_dict(base.text_encoders[0].state_dict())
    objective.text_encoder.requires_grad_(False)
    return stage


def vae_stage(studio: Studio, look: str) -> VAEStage:
    """The stage of the autoencoder on a look, from the shipped weights."""
    _, pixels = studio.pool(look)
    batches = PixelBatches(
        pixels, vae_batch(studio), studio.options.seed, torch.device(studio.options.device)
    )
    stage = VAEStage(studio.world, batches, VAE_LOSS)
    stage.vae.load_state_dict(new_base(studio).vae.state_dict())
    return stage
