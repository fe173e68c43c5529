"""The demo's base model: a small latent diffusion UNet in the shape of Stable Diffusion's, trained with its text encoder on
pictures and captions."""

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
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_diffusers.base_model import token_ids
from ifadapter_diffusers.contact_sheet import grid, to_image
from ifadapter_diffusers.latents import decode
from ifadapter_diffusers.plain_attention import attend_plainly
from ifadapter_diffusers.sampling import GUIDANCE, STEPS, add_noise, guided

from ..dataset import Pictures
from ..descriptions import placed_caption
from ..drawing import draw
from ..sampler import HELD_OUT, World, sample_scene
from ..scene import Scene
from .position_probe import PositionProbe
from .text_encoder import WIDTH, new_text_encoder
from .vae import CELL, LATENT_CHANNELS, SCALE, thumbnails

MIDDLE = 0.25  # of the noise that is trained on: there the shapes are decided
PLACES_WEIGHT = 0.1

# What part of the captions is what: nothing, as guidance needs; the global caption; with all details; with their places too.
CAPTION_PARTS = {"none": 0.1, "global": 0.15, "full": 0.15, "placed": 0.6}


def new_unet() -> UNet2DConditionModel:
    """4.8 M weights. Cross attention at 16x16 and 8x8 cells, and at 4x4 in the middle."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
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
    """Number -> a batch of latents with their scenes. After so many pictures they come again: they are kept in memory."""

    def __init__(self, world: World, count: int, size: int) -> None:
        self.pictures = Pictures(world)
        self.count = count
        self.size = size
        self.sample = lru_cache(maxsize=count)(self._sample)

    def _sample(self, number: int) -> tuple[Tensor, Scene]:
        image, drawn = self.pictures[number]
        return thumbnails(image), drawn

    def __getitem__(self, number: int) -> LatentBatch:
        first = number * self.size
        latents, scenes = zip(
            *(self.sample(index % self.count) for index in range(first, first + self.size)), strict=True
        )
        return LatentBatch(torch.stack(latents), list(scenes))


class Denoising(nn.Module):
    """The plain loss of the noise or velocity prediction (Ho et al. 2020), and a little of ``PositionProbe``."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        scheduler: DDPMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__()
        attend_plainly(unet)
        self.unet = unet
        self.places = PositionProbe(unet)
        self.scheduler = scheduler
        self.text_encoder = text_encoder
        self.tokenizer = tokenizer

    def forward(self, batch: LatentBatch, generator: torch.Generator) -> Tensor:
        texts = [
            caption_of(drawn, kind)
            for drawn, kind in zip(batch.scenes, caption_kinds(len(batch.scenes), generator), strict=True)
        ]
        latents = batch.latents.to(self.unet.device)
        noisy, timesteps, target = add_noise(self.scheduler, latents, generator, MIDDLE)
        with self.places:
            prediction = self.unet(noisy, timesteps, self.text_states(texts)).sample.float()
        return F.mse_loss(prediction, target) + PLACES_WEIGHT * self.places.loss()

    def text_states(self, texts: Sequence[str]) -> Tensor:
        """What the UNet's cross attention sees of each text: (len(texts), 77, WIDTH)."""
        ids = token_ids(self.tokenizer, texts).to(self.text_encoder.device)
        return self.text_encoder(ids).last_hidden_state


def caption_kinds(count: int, generator: torch.Generator) -> list[str]:
    parts = torch.tensor(list(CAPTION_PARTS.values()))
    return [
        list(CAPTION_PARTS)[number]
        for number in torch.multinomial(parts, count, replacement=True, generator=generator).tolist()
    ]


def caption_of(drawn: Scene, kind: str) -> str:
    layout = drawn.layout
    return {"none": "", "global": layout.caption, "full": layout.prompt, "placed": placed_caption(layout)}[
        kind
    ]


class UNetStage:
    """vae: only for the sample sheets, which show the latents themselves without one."""

    def __init__(
        self, world: World, tokenizer: CLIPTokenizer, batches: LatentBatches, vae: AutoencoderKL | None
    ) -> None:
        self.objective = Denoising(new_unet(), new_scheduler(), new_text_encoder(tokenizer), tokenizer)
        self.vae = vae
        self.batches: Dataset[Any] = batches
        self.held_out = [sample_scene(world, index) for index in HELD_OUT[:16]]

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Pictures to the captions of held-out scenes with places; the drawings above them."""
        objective = self.objective
        texts = objective.text_states([""] * 16 + [caption_of(drawn, "placed") for drawn in self.held_out])
        noise = torch.randn(16, LATENT_CHANNELS, 16, 16, generator=generator).to(objective.unet.device)
        latents = guided(
            lambda x, t: objective.unet(x, t, texts).sample, objective.scheduler, noise, STEPS, GUIDANCE
        )
        pictures = [to_image(picture) for picture in self._decoded(latents)]
        drawings = [Image.fromarray(draw(drawn)) for drawn in self.held_out]
        return grid([row[half : half + 8] for half in (0, 8) for row in (drawings, pictures)])

    def _decoded(self, latents: Tensor) -> Tensor:
        return (
            F.interpolate(latents / SCALE, scale_factor=CELL, mode="bicubic")
            if self.vae is None
            else decode(self.vae, latents)
        )

    def save(self, folder: Path) -> None:
        self.objective.unet.save_pretrained(folder / "unet")
        self.objective.text_encoder.save_pretrained(folder / "text_encoder")
        self.objective.scheduler.save_pretrained(folder / "scheduler")
