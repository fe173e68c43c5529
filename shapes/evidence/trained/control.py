"""A ControlNet that is trained for a study, on the shipped base model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from PIL import Image
from torch import Tensor, nn

from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.contact_sheet import grid, to_image
from ifadapter_diffusers.plain_attention import use_plain_attention_on_cpu
from ifadapter_diffusers.sampling import add_noise
from ifadapter_diffusers.text import token_ids
from training.config import AdapterConfig, AdapterLoss
from training.processes.group import ALONE, Processes

from ...models.config import CELL
from ...models.pool import CAPTIONS
from ...models.pool_batches import PoolBatch, PoolBatches, PoolTensors
from ...models.pool_stages import chosen_captions
from ...models.slots import covered_cells
from ..methods.control_copy import ControlPainter, controlled, description_colours, layout_pictures
from ..studio import Studio
from .budget import adapter_config, adapter_recipe, new_base, settings, train_once

FOLDER = "control"


@dataclass(frozen=True)
class TrainedControl:
    """A ControlNet with the budget of the studies' adapters."""

    def settings(self) -> dict[str, Any]:
        return {"models": "ControlNet"}

    def recipe(self, studio: Studio) -> dict[str, Any]:
        return adapter_recipe(studio, adapter_config(studio))

    def place(self, studio: Studio) -> Path:
        """The folder of the training."""
        return studio.cache.place("controls", settings(studio, self, self.recipe(studio)))

    def painter(self, studio: Studio) -> ControlPainter:
        """Trains it first if the cache does not have it."""
        config, options = adapter_config(studio), studio.options
        folder = self.place(studio)
        weights = train_once(folder, partial(new_stage, studio, config), config.loop, studio.kind)
        painter = ControlPainter(
            options.demo, options.seed, options.steps, options.guidance, device=options.device
        )
        copy = ControlNetModel.from_pretrained(weights / FOLDER).to(options.device).eval()
        use_plain_attention_on_cpu(copy)
        painter.copy = copy.requires_grad_(False)
        return painter


def new_stage(studio: Studio, config: AdapterConfig) -> ControlStage:
    tensors, _ = studio.pool("plain")
    return ControlStage(new_base(studio), config, tensors)


class ControlDenoising(nn.Module):
    """The base model's denoising loss with a ControlNet; only the copy is trained.

    Captions have all local descriptions, which the copy needs to know what fills a box; some are
    empty, for classifier-free guidance. colours: (D, 3) of the pool's descriptions.
    """

    colours: Tensor
    empty: Tensor

    def __init__(self, base: BaseModel, copy: ControlNetModel, loss: AdapterLoss, colours: Tensor) -> None:
        super().__init__()
        use_plain_attention_on_cpu(base.unet)
        use_plain_attention_on_cpu(copy)
        self.base, self.copy, self.loss = base, copy, loss
        self.register_buffer("colours", colours, persistent=False)
        self.register_buffer("empty", token_ids(base.tokenizers[0], [""]), persistent=False)

    def forward(self, batch: PoolBatch, generator: torch.Generator) -> Tensor:
        """B pictures -> loss (). Each has ``loss.noises`` adjacent rows with different noise."""
        noises, height, width = self.loss.noises, *batch.latents.shape[-2:]
        chances = torch.rand(len(batch.latents), generator=generator, device=generator.device)
        kinds = torch.where(chances < self.loss.drop_global, -1, CAPTIONS.index("full"))
        ids = chosen_captions(batch.captions, kinds.to(batch.captions.device), self.empty)
        with torch.no_grad():
            states = self.base.text_encoders[0](ids).last_hidden_state
        pictures = layout_pictures(
            batch.boxes, batch.present, self.colours[batch.descriptions], CELL * height
        )
        latents = batch.latents.repeat_interleave(noises, dim=0)
        noisy, timesteps, target = add_noise(self.base.scheduler, latents, generator, self.loss.middle)
        states, pictures = (part.repeat_interleave(noises, dim=0) for part in (states, pictures))
        prediction = controlled(self.base.unet, self.copy, noisy, timesteps, states, pictures)

        inside = (covered_cells(batch.boxes, height, width) & batch.present[..., None]).any(dim=1)
        weights = 1 + (self.loss.box_weight - 1) * inside.float().unflatten(1, (height, width))
        weights = weights.repeat_interleave(noises, dim=0)
        errors = (prediction.float() - target).square().mean(dim=1) * weights
        return errors.sum() / weights.sum()


class ControlStage:
    """The training stage of a ControlNet (see ``training.loop.Stage``)."""

    def __init__(self, base: BaseModel, config: AdapterConfig, tensors: PoolTensors) -> None:
        self.base = base
        copy = ControlNetModel.from_unet(base.unet).requires_grad_(True)
        colours = description_colours(tensors.descriptions).to(base.device)
        self.objective = ControlDenoising(base, copy.to(base.device), config.loss, colours)
        self.batches: Any = PoolBatches(tensors, config.batch_size, config.loop.seed)

    def sheet(self, generator: torch.Generator, processes: Processes = ALONE) -> Image.Image:
        """Layouts of the first batch in colours, above the drawings that they were made from."""
        batch = self.batches[0]
        colours = self.objective.colours[batch.descriptions]
        layouts = layout_pictures(batch.boxes, batch.present, colours, CELL * batch.latents.shape[-1])
        drawings = self.base.decode(batch.latents[:8])
        return grid([[to_image(one) for one in part[:8]] for part in (2 * layouts - 1, drawings)])

    def save(self, folder: Path) -> None:
        self.objective.copy.save_pretrained(folder / FOLDER)
