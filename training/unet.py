"""The demo's base model: a small latent diffusion UNet in the shape of Stable Diffusion's, trained on pictures and captions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from .drawing import draw
from .latents import LatentCache, decode
from .places import Places
from .sampling import GUIDANCE, STEPS, add_noise, guided
from .scene import Scene
from .sheet import grid, to_image
from .text_encoder import WIDTH
from .vae import LATENT_CHANNELS
from .vocabulary import token_ids
from .world import HELD_OUT, World, scene

MIDDLE = 0.0  # of the noise that is trained on: there the shapes are decided
PLACES_WEIGHT = 0.1

# What part of the captions is what: nothing, as guidance needs; the global caption; with all details; the details alone.
CAPTION_PARTS = {"none": 0.1, "global": 0.3, "full": 0.4, "local": 0.2}


def new_unet() -> UNet2DConditionModel:
    """4.7 M weights. Cross attention at 8x8 and 4x4 cells, and at 16x16 on the way up."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # diffusers' name for the number of heads
        use_linear_projection=True,
    )


def new_scheduler() -> DDPMScheduler:
    """Velocity prediction and zero terminal signal-to-noise ratio (Lin et al. 2024), so that backgrounds come out right."""
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        steps_offset=1,
    )


class LatentBatch(NamedTuple):
    latents: Tensor  # (B, C, h, w), scaled
    scenes: list[Scene]


class LatentBatches(Dataset[LatentBatch]):
    """Number -> a batch of latents with their scenes; after the last picture they come again."""

    def __init__(self, cache: LatentCache, size: int) -> None:
        self.cache = cache
        self.size = size
        world, indices = cache.pictures.world, cache.pictures.indices
        self.scene = lru_cache(maxsize=len(cache))(lambda number: scene(world, indices[number]))

    def __getitem__(self, number: int) -> LatentBatch:
        numbers = [index % len(self.cache) for index in range(number * self.size, (number + 1) * self.size)]
        return LatentBatch(self.cache[numbers], [self.scene(index) for index in numbers])


class Denoising(nn.Module):
    """The plain loss of the noise or velocity prediction (Ho et al. 2020), and a little of ``Places``."""

    def __init__(
        self, unet: UNet2DConditionModel, scheduler: DDPMScheduler, text_encoder: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer
    ) -> None:
        super().__init__()
        self.unet = unet
        self.places = Places(unet)
        self.scheduler = scheduler
        self.text_encoder = text_encoder.requires_grad_(False)
        self.tokenizer = tokenizer

    def forward(self, batch: LatentBatch, generator: torch.Generator) -> Tensor:
        texts = [caption_of(drawn, kind) for drawn, kind in zip(batch.scenes, caption_kinds(len(batch.scenes), generator), strict=True)]
        latents = batch.latents.to(self.unet.device)
        noisy, timesteps, target = add_noise(self.scheduler, latents, generator, MIDDLE)
        with self.places:
            prediction = self.unet(noisy, timesteps, self.text_states(texts)).sample.float()
        return F.mse_loss(prediction, target) + PLACES_WEIGHT * self.places.loss()

    @torch.no_grad()
    def text_states(self, texts: Sequence[str]) -> Tensor:
        """What the UNet's cross attention sees of each text: (len(texts), 77, WIDTH)."""
        ids = token_ids(self.tokenizer, texts).to(self.text_encoder.device)
        return self.text_encoder(ids).last_hidden_state


def caption_kinds(count: int, generator: torch.Generator) -> list[str]:
    parts = torch.tensor(list(CAPTION_PARTS.values()))
    return [list(CAPTION_PARTS)[number] for number in torch.multinomial(parts, count, replacement=True, generator=generator).tolist()]


def caption_of(drawn: Scene, kind: str) -> str:
    layout = drawn.layout
    return {"none": "", "global": layout.caption, "full": layout.prompt, "local": ", ".join(layout.local_descriptions)}[kind]


class UNetStage:
    def __init__(
        self, world: World, vae: AutoencoderKL, text_encoder: CLIPTextModelWithProjection, tokenizer: CLIPTokenizer, batches: LatentBatches
    ) -> None:
        self.unet = new_unet()
        self.vae = vae
        self.objective = Denoising(self.unet, new_scheduler(), text_encoder, tokenizer)
        self.batches: Dataset[Any] = batches
        self.held_out = [scene(world, index) for index in HELD_OUT[:16]]

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Pictures to the full captions of held-out scenes; the drawings above them."""
        objective = self.objective
        texts = objective.text_states([""] * 16 + [caption_of(drawn, "full") for drawn in self.held_out])
        noise = torch.randn(16, LATENT_CHANNELS, 16, 16, generator=generator).to(self.unet.device)
        latents = guided(lambda x, t: self.unet(x, t, texts).sample, objective.scheduler, noise, STEPS, GUIDANCE)
        pictures = [to_image(picture) for picture in decode(self.vae, latents)]
        drawings = [Image.fromarray(draw(drawn)) for drawn in self.held_out]
        return grid([row[half : half + 8] for half in (0, 8) for row in (drawings, pictures)])

    def save(self, folder: Path) -> None:
        self.unet.save_pretrained(folder / "unet")
        self.objective.scheduler.save_pretrained(folder / "scheduler")
