"""The settings of a run of the drawn world: the trainer's config file with a ``shapes`` section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.config import Config, LoopConfig, load_config
from training.config_reader import read_config

from ..sampler import World


@dataclass(frozen=True)
class StageConfig:
    """A stage of the base model.

    batch_size: pictures per batch and process.
    """

    batch_size: int
    loop: LoopConfig


@dataclass(frozen=True)
class ShapesConfig:
    """The drawn world and its base model.

    cached: number of distinct pictures that the UNet and the adapter train on; their latents stay
        in memory.
    unet: the UNet and its text encoder.
    """

    world: World
    cached: int
    vae: StageConfig
    unet: StageConfig


@dataclass(frozen=True, kw_only=True)
class ShapesRunConfig(Config):
    """The config file of a run of the drawn world.

    ``base`` and ``folder`` replace its own model and pictures.
    """

    shapes: ShapesConfig


def load_shapes_config(name: str = "shapes", overrides: Sequence[str] = ()) -> ShapesRunConfig:
    """Read a config with a ``shapes`` section (see ``load_config``).

    Raises ValueError if it has none.
    """
    if read_config(name, overrides).get("shapes") is None:
        raise ValueError(
            f"The config {name} has no drawn world. Add a shapes section, or use the config shapes."
        )
    return load_config(name, overrides, ShapesRunConfig)
