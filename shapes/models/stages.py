"""A run of the demo's training: its stages, and the finished base model as a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.utils.data import Dataset
from transformers import CLIPTextModel, CLIPTokenizer

from ifadapter_core.layout import Layout
from ifadapter_diffusers.base_model import BaseModel
from training.objective.denoising import LayoutBatch

from ..dataset import PictureBatches, Pictures
from ..descriptions import placed_caption
from ..sampler import HELD_OUT, TRAINING, World, sample_scene
from .config import ShapesConfig
from .unet import LatentBatches, UNetStage
from .vae import VAEStage
from .vocabulary import train_vocabulary

SENTENCES = 10_000  # scenes whose texts train the vocabulary
FULL_CAPTIONS = 3  # every third picture has the caption with all local descriptions


class DemoRun:
    """The folder of a run. Each stage reads the weights that earlier stages wrote there."""

    def __init__(self, folder: Path, config: ShapesConfig) -> None:
        self.folder = folder
        self.config = config

    @property
    def tokenizer(self) -> CLIPTokenizer:
        """Trained on first use."""
        folder = self.folder / "tokenizer"
        if not (folder / "tokenizer_config.json").exists():
            train_vocabulary(sentences(range(SENTENCES)), folder)
        return CLIPTokenizer.from_pretrained(str(folder))

    def vae(self) -> AutoencoderKL:
        return AutoencoderKL.from_pretrained(self._weights("vae"))

    def unet(self) -> UNet2DConditionModel:
        return UNet2DConditionModel.from_pretrained(self._weights("unet"), subfolder="unet")

    def text_encoder(self) -> CLIPTextModel:
        return CLIPTextModel.from_pretrained(self._weights("unet"), subfolder="text_encoder")

    def scheduler(self) -> DDPMScheduler:
        return DDPMScheduler.from_pretrained(self._weights("unet"), subfolder="scheduler")

    def vae_stage(self) -> VAEStage:
        """The stage of ``python -m training vae``. Raises ValueError for ``init``."""
        self._refuse_init()
        settings = self.config.vae
        batches = PictureBatches(Pictures(self.config.world), settings.batch_size)
        stage = VAEStage(self.config.world, batches, settings.loss)
        stage.objective.graphed_loss.enabled = self.config.graphs
        return stage

    def unet_stage(self) -> UNetStage:
        """The stage of ``python -m training unet``. Raises ValueError for ``init``."""
        self._refuse_init()
        vae = self.vae() if (self.folder / "vae" / "weights").is_dir() else None
        return UNetStage(self.config.world, self.tokenizer, self.latents(self.config.unet.batch_size), vae)

    def latents(self, batch_size: int) -> LatentBatches:
        return LatentBatches(self.config.world, self.config.cached, batch_size)

    def layout_batches(self, batch_size: int) -> LayoutBatches:
        """The data of ``python -m training adapter``. Raises ValueError for ``init``."""
        self._refuse_init()
        return LayoutBatches(self.latents(batch_size))

    def pipeline(self) -> StableDiffusionPipeline:
        """The finished base model. Raises ValueError if a stage has not run."""
        return StableDiffusionPipeline(
            vae=self.vae(),
            text_encoder=self.text_encoder(),
            tokenizer=self.tokenizer,
            unet=self.unet(),
            scheduler=self.scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def base(self) -> BaseModel:
        return BaseModel(self.pipeline())

    def held_out(self, count: int) -> list[Layout]:
        """The first held-out layouts."""
        return [sample_scene(self.config.world, index).layout for index in HELD_OUT[:count]]

    def _refuse_init(self) -> None:
        if self.config.init is not None:
            raise ValueError(
                f"shapes.init is {self.config.init}, but only the stage world starts from it. "
                "Train by `python -m training world`, with shapes.stages, or remove shapes.init."
            )

    def _weights(self, stage: str) -> Path:
        folder = self.folder / stage / "weights"
        if not folder.is_dir():
            raise ValueError(f"There is no {folder}. Run `python -m training {stage}` first.")
        return folder


def sentences(numbers: range) -> Iterator[str]:
    """Captions of training scenes with all shapes, colours and patterns, two per scene."""
    for number in numbers:
        layout = sample_scene(World(), TRAINING[number]).layout
        yield from (layout.prompt, placed_caption(layout))


class LayoutBatches(Dataset[LayoutBatch]):
    """A dataset of batches of latents with their layouts, for the adapter.

    Every third caption contains all local descriptions, as a user's prompt may.
    """

    def __init__(self, batches: LatentBatches) -> None:
        self.batches = batches
        self.size = batches.size

    def __getitem__(self, number: int) -> LayoutBatch:
        batch = self.batches[number]
        first = number * len(batch.scenes)
        layouts = [
            replace(scene.layout, caption=scene.layout.prompt) if index % FULL_CAPTIONS == 0 else scene.layout
            for index, scene in enumerate(batch.scenes, first)
        ]
        return LayoutBatch(layouts, latents=batch.latents)
