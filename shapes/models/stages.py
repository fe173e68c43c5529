"""The demo's parts, stage by stage, and the whole of them as one diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.utils.data import Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_core.layout import Layout
from ifadapter_diffusers.base_model import BaseModel
from training.adapter_stage import LayoutBatch
from training.config import ShapesConfig

from ..descriptions import placed_caption
from ..sampler import HELD_OUT, TRAINING, World, sample_scene
from .unet import LatentBatches, UNetStage
from .vae import VAEStage
from .vocabulary import train_vocabulary

SENTENCES = 10_000  # scenes whose words make the vocabulary
FULL_CAPTIONS = 3  # one picture in so many has the caption that tells all details


class DemoRun:
    """The folder of a run, and what its stages have left there."""

    def __init__(self, folder: Path, config: ShapesConfig) -> None:
        self.folder = folder
        self.config = config

    @property
    def tokenizer(self) -> CLIPTokenizer:
        """Made when it is first asked for."""
        place = self.folder / "tokenizer"
        if not (place / "tokenizer_config.json").exists():
            train_vocabulary(sentences(SENTENCES), place)
        return CLIPTokenizer.from_pretrained(str(place))

    def vae(self) -> AutoencoderKL:
        return AutoencoderKL.from_pretrained(self._weights("vae"))

    def vae_stage(self) -> VAEStage:
        return VAEStage(self.config.world, self.config.vae.batch_size)

    def unet_stage(self) -> UNetStage:
        vae = self.vae() if (self.folder / "vae" / "weights").is_dir() else None
        return UNetStage(self.config.world, self.tokenizer, self.latents(self.config.unet.batch_size), vae)

    def latents(self, batch_size: int) -> LatentBatches:
        return LatentBatches(self.config.world, self.config.cached, batch_size)

    def pipeline(self) -> StableDiffusionPipeline:
        """The finished base model."""
        return StableDiffusionPipeline(
            vae=self.vae(),
            text_encoder=CLIPTextModel.from_pretrained(self._weights("unet"), subfolder="text_encoder"),
            tokenizer=self.tokenizer,
            unet=UNet2DConditionModel.from_pretrained(self._weights("unet"), subfolder="unet"),
            scheduler=DDPMScheduler.from_pretrained(self._weights("unet"), subfolder="scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def base(self) -> BaseModel:
        return BaseModel(self.pipeline())

    def held_out(self, count: int) -> list[Layout]:
        return [sample_scene(self.config.world, index).layout for index in HELD_OUT[:count]]

    def _weights(self, stage: str) -> Path:
        place = self.folder / stage / "weights"
        if not place.is_dir():
            raise ValueError(f"There is no {place}. Run `python -m training {stage}` first.")
        return place


def sentences(count: int) -> Iterator[str]:
    """Of a world with all shapes, colours and patterns."""
    for index in TRAINING[:count]:
        layout = sample_scene(World(), index).layout
        yield from (layout.prompt, placed_caption(layout))


class LayoutBatches(Dataset[LayoutBatch]):
    """Number -> a batch of the drawn world with layouts. Some captions tell all details, as the prompt of a user may."""

    def __init__(self, batches: LatentBatches) -> None:
        self.batches = batches

    def __getitem__(self, number: int) -> LayoutBatch:
        batch = self.batches[number]
        layouts = [drawn.layout for drawn in batch.scenes]
        first = number * len(layouts)
        told = [
            replace(layout, caption=layout.prompt) if (first + place) % FULL_CAPTIONS == 0 else layout
            for place, layout in enumerate(layouts)
        ]
        return LayoutBatch(told, latents=batch.latents)
