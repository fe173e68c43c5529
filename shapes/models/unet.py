"""The demo's base model: a small latent diffusion UNet in Stable Diffusion's architecture.

It is trained from scratch on pictures and captions, jointly with its text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_diffusers.contact_sheet import grid, to_image
from ifadapter_diffusers.demo_settings import GUIDANCE, STEPS
from ifadapter_diffusers.latents import decode
from ifadapter_diffusers.plain_attention import use_plain_attention_on_cpu
from ifadapter_diffusers.sampling import add_noise, guided
from ifadapter_diffusers.text import token_ids
from training.processes.group import ALONE, Processes

from ..dataset import Pictures
from ..descriptions import placed_caption
from ..drawing import draw
from ..sampler import HELD_OUT, World, sample_scene
from ..scene import Scene
from .config import CELL
from .position_probe import PositionProbe
from .text_encoder import WIDTH, new_text_encoder, use_eager_attention_on_cpu
from .vae import LATENT_CHANNELS, SCALE, thumbnails

LOGIT_MEAN = 0.25  # of the logit-normal timesteps; shapes are decided at these noise levels
PROBE_WEIGHT = 0.1  # of the auxiliary loss
SHEET_PICTURES = 16

# Probability of each kind of caption in training: empty (for guidance), the global caption, the
# caption with all local descriptions, and these with their positions.
CAPTION_PARTS = {"none": 0.1, "global": 0.15, "full": 0.15, "placed": 0.6}


def new_unet(side: int = 16) -> UNet2DConditionModel:
    """An untrained UNet of 4.8 M weights. Cross attention at 16 x 16, 8 x 8 and 4 x 4 cells.

    side: cells along each side of the latents, from which pipelines take the size of their pictures.
    """
    return UNet2DConditionModel(
        sample_size=side,
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
    """Velocity prediction and zero terminal SNR (Lin et al. 2024), for exact background colours."""
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
    """Training data of the UNet.

    latents: scaled latents (B, C, h, w).
    scenes: their scenes.
    """

    latents: Tensor
    scenes: list[Scene]


class LatentBatches(Dataset[LatentBatch]):
    """A dataset of batches of latents.

    The first ``count`` pictures of the world repeat; their latents are cached in memory.
    """

    def __init__(self, world: World, count: int, size: int) -> None:
        self.pictures = Pictures(world)
        self.count = count
        self.size = size
        self._samples: dict[int, tuple[Tensor, Scene]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the cached latents: a data loader process fills its own cache."""
        return {**self.__dict__, "_samples": {}}

    def sample(self, number: int) -> tuple[Tensor, Scene]:
        """The latents (C, h, w) and the scene of a picture."""
        if number not in self._samples:
            image, scene = self.pictures[number]
            self._samples[number] = thumbnails(image), scene
        return self._samples[number]

    def __getitem__(self, number: int) -> LatentBatch:
        first = number * self.size
        samples = [self.sample(index % self.count) for index in range(first, first + self.size)]
        latents, scenes = zip(*samples, strict=True)
        return LatentBatch(torch.stack(latents), list(scenes))


class Denoising(nn.Module):
    """Loss: squared error of the predicted velocity (Ho et al. 2020), plus the ``PositionProbe``."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        scheduler: DDPMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__()
        use_plain_attention_on_cpu(unet)
        self.unet = unet
        self.position_probe = PositionProbe(unet)
        self.scheduler = scheduler
        self.text_encoder = text_encoder
        self.tokenizer = tokenizer

    def forward(self, batch: LatentBatch, generator: torch.Generator) -> Tensor:
        return self.prediction_loss(*self.noisy_inputs(batch, generator))

    def noisy_inputs(
        self, batch: LatentBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy latents, timesteps, target and token ids of the captions; see ``add_noise``."""
        ids = self.caption_ids(batch, generator).to(self.unet.device)
        latents = batch.latents.to(self.unet.device)
        return *add_noise(self.scheduler, latents, generator, LOGIT_MEAN), ids

    def prediction_loss(self, noisy: Tensor, timesteps: Tensor, target: Tensor, ids: Tensor) -> Tensor:
        """The loss () of ``noisy_inputs``."""
        with self.position_probe:
            prediction = self.unet(noisy, timesteps, self.encode_text(ids)).sample.float()
        return F.mse_loss(prediction, target) + PROBE_WEIGHT * self.position_probe.loss()

    def caption_ids(self, batch: LatentBatch, generator: torch.Generator) -> Tensor:
        """Token ids (B, 77) of captions of random kinds."""
        kinds = caption_kinds(len(batch.scenes), generator)
        texts = [caption_of(scene, kind) for scene, kind in zip(batch.scenes, kinds, strict=True)]
        return token_ids(self.tokenizer, texts)

    def text_states(self, texts: Sequence[str]) -> Tensor:
        """Text states for cross attention: (len(texts), 77, WIDTH)."""
        return self.encode_text(token_ids(self.tokenizer, texts).to(self.text_encoder.device))

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids (B, 77) on the encoder's device -> text states (B, 77, WIDTH)."""
        use_eager_attention_on_cpu(self.text_encoder)
        return self.text_encoder(ids).last_hidden_state


def caption_kinds(count: int, generator: torch.Generator) -> list[str]:
    """Random keys of CAPTION_PARTS with their probabilities."""
    kinds, probabilities = (
        list(CAPTION_PARTS),
        torch.tensor(list(CAPTION_PARTS.values()), device=generator.device),
    )
    numbers = torch.multinomial(probabilities, count, replacement=True, generator=generator)
    return [kinds[number] for number in numbers.tolist()]


def caption_of(scene: Scene, kind: str) -> str:
    """The caption of a scene. kind: a key of CAPTION_PARTS."""
    layout = scene.layout
    captions = {
        "none": "",
        "global": layout.caption,
        "full": layout.prompt,
        "placed": placed_caption(layout),
    }
    return captions[kind]


class UNetStage:
    """The training stage of the UNet and its text encoder: loss, batches, sample sheet and weights.

    vae: decoder of the sample sheets; without it they show enlarged latents.
    """

    def __init__(
        self,
        world: World,
        tokenizer: CLIPTokenizer,
        batches: Dataset[Any],
        vae: AutoencoderKL | None,
        objective: type[Denoising] = Denoising,
    ) -> None:
        self.side = world.size // CELL
        unet = new_unet(self.side)
        self.objective = objective(unet, new_scheduler(), new_text_encoder(tokenizer), tokenizer)
        self.vae = vae
        self.batches = batches
        self.held_out = [sample_scene(world, index) for index in HELD_OUT[:SHEET_PICTURES]]

    def sheet(self, generator: torch.Generator, processes: Processes = ALONE) -> Image.Image:
        """Drawings of held-out scenes, eight to a row, above pictures from their placed captions."""
        unet, scheduler = self.objective.unet, self.objective.scheduler
        captions = [caption_of(scene, "placed") for scene in self.held_out]
        texts = self.objective.text_states([""] * SHEET_PICTURES + captions)
        shape = (SHEET_PICTURES, LATENT_CHANNELS, self.side, self.side)
        noise = torch.randn(shape, generator=generator).to(unet.device)
        latents = guided(lambda x, t: unet(x, t, texts).sample, scheduler, noise, STEPS, GUIDANCE)
        pictures = [to_image(picture) for picture in self._decoded(latents)]
        drawings = [Image.fromarray(draw(scene)) for scene in self.held_out]
        halves = range(0, SHEET_PICTURES, 8)
        return grid([row[first : first + 8] for first in halves for row in (drawings, pictures)])

    def _decoded(self, latents: Tensor) -> Tensor:
        if self.vae is None:
            return F.interpolate(latents / SCALE, scale_factor=CELL, mode="bicubic")
        return decode(self.vae, latents.to(self.vae.device))

    def save(self, folder: Path) -> None:
        self.objective.unet.save_pretrained(folder / "unet")
        self.objective.text_encoder.save_pretrained(folder / "text_encoder")
        self.objective.scheduler.save_pretrained(folder / "scheduler")
