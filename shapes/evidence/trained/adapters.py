"""Adapters that are trained for a study, on the shipped base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_core.storage import load_weights
from ifadapter_core.tokens import InstanceTokens
from ifadapter_diffusers.painter import Painter
from training.adapter_stage import AdapterStage
from training.config import AdapterConfig

from ...models.pool_stages import PoolAdapterStage, SlotDenoising
from ...models.slots import SlotUNet
from ..layouts.layout_sets import LayoutSet
from ..methods.sequence import SequenceUNet
from ..studio import Studio
from .budget import DENOISER, adapter_config, adapter_recipe, new_base, settings, train_once

FILE = "ifadapter.safetensors"


@dataclass(frozen=True)
class TrainedAdapter:
    """How an adapter is trained.

    queries, depths: appearance queries for each text depth, and the depths.
    appearance, eot: the kinds of tokens that it has, in training and sampling.
    sequence: tokens in the text's sequence in place of the semantic map; see ``SequenceUNet``.
    look: of the scenes that it trains on.
    fine_tuned: start from the shipped adapter's weights.
    steps: of another budget than the run's; None = the run's.
    """

    queries: int = 4
    depths: tuple[int, ...] = (-2, -4, -6)
    appearance: bool = True
    eot: bool = True
    sequence: bool = False
    look: str = "plain"
    fine_tuned: bool = False
    steps: int | None = None

    def settings(self) -> dict[str, Any]:
        """Which weights these are, as JSON."""
        return {
            "models": "trained adapter",
            "queries": self.queries,
            "depths": list(self.depths),
            "appearance": self.appearance,
            "eot": self.eot,
            "sequence": self.sequence,
            "look": self.look,
            "fine_tuned": self.fine_tuned,
            "own_steps": self.steps,
        }

    def recipe(self, studio: Studio) -> dict[str, Any]:
        return adapter_recipe(studio, self.config(studio), self.look)

    def config(self, studio: Studio) -> AdapterConfig:
        config = adapter_config(studio, self.steps)
        shape = replace(config.shape, queries=self.queries, text_depths=self.depths)
        return replace(config, shape=shape)

    def place(self, studio: Studio) -> Path:
        """The folder of the training."""
        parts = (*DENOISER, FILE) if self.fine_tuned else DENOISER
        return studio.cache.place("adapters", settings(studio, self, self.recipe(studio), parts))

    def painter(self, studio: Studio) -> Painter:
        """Trains the adapter first if the cache does not have it."""
        config, folder = self.config(studio), self.place(studio)
        weights = train_once(folder, partial(self.stage, studio, config), config.loop, studio.kind)
        options = studio.options
        return Painter(
            options.demo,
            options.seed,
            options.steps,
            options.guidance,
            adapter=weights / FILE,
            device=options.device,
        )

    def stage(self, studio: Studio, config: AdapterConfig) -> AdapterStage:
        """Its training."""
        tensors, _ = studio.pool(self.look)
        layouts = [
            LayoutSet(look=self.look).scene(studio.world, index).layout for index in range(config.samples)
        ]
        stage = ChosenTokensStage(
            new_base(studio),
            config,
            tensors,
            layouts,
            SequenceUNet if self.sequence else SlotUNet,
            partial(ChosenTokens, appearance=self.appearance, eot=self.eot),
        )
        if self.fine_tuned:
            shipped = load_weights(studio.options.demo / FILE).tensors
            stage.adapter.load_state_dict({name: tensor.float() for name, tensor in shipped.items()})
        return stage


class ChosenTokens(SlotDenoising):
    """``SlotDenoising`` of an adapter that has some kinds of tokens only."""

    def __init__(self, *given: Any, appearance: bool, eot: bool) -> None:
        super().__init__(*given)
        self.kept = slice(None if appearance else -1, None if eot else -1)

    def instance_tokens(self, boxes: Tensor, descriptions: Tensor, described: Tensor) -> Tensor:
        return super().instance_tokens(boxes, descriptions, described)[:, :, self.kept]


class ChosenTokensStage(PoolAdapterStage):
    """Its sample sheets have the tokens of the training."""

    def tokens(self, layouts: Sequence[Layout]) -> list[InstanceTokens]:
        kept = self.objective.kept
        return [
            replace(one, cond=one.cond[:, kept], uncond=one.uncond[:, kept])
            for one in super().tokens(layouts)
        ]
