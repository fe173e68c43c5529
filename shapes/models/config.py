"""The settings of a run of the drawn world: the trainer's config file with a ``shapes`` section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from training.config import Config, LoopConfig, load_config
from training.config_reader import read_config
from training.value_checks import PathText, at_least, filled, fraction

from ..sampler import World

CELL = 8  # pixels along each side of a latent cell
SIZE_STEP = 4 * CELL  # of the side of a picture


@dataclass(frozen=True)
class StageConfig:
    """A stage of the base model.

    batch_size: pictures per batch and process.
    """

    batch_size: int
    loop: LoopConfig

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size")


@dataclass(frozen=True)
class VAELoss:
    """The loss of the autoencoder: see ``Reconstruction``.

    encoded: fraction of each batch that trains the encoder, which has little to learn. If it is
        below 1, the decoder reads thumbnails in place of the encoder's latents. 0 = the encoder stays
        as it is.
    worst: weight of the mean error of each picture's worst patch.
    flat: weight of the mean error away from edges.
    speck: weight of the error of each picture's worst patch away from edges.
    noise: largest standard deviation of the noise on scaled latents, see ``latent_noise``.
    """

    encoded: float = 1.0
    worst: float = 0.0
    flat: float = 0.0
    speck: float = 0.0
    noise: float = 0.3

    def __post_init__(self) -> None:
        fraction(self, "encoded")
        at_least(self, 0, "worst", "flat", "speck", "noise")


@dataclass(frozen=True)
class VAEConfig(StageConfig):
    """The stage of the autoencoder."""

    loss: VAELoss = field(default_factory=VAELoss)


@dataclass(frozen=True)
class PoolConfig:
    """The scenes to draw.

    pictures: number of scenes.
    pixels: the first scenes, whose pictures are kept for the autoencoder.
    crowded: fraction of the scenes with heavy overlap.
    crowding: ``World.crowding`` of these.
    shared: ``World.shared`` of all scenes.
    processes: that draw; 0 = draw in the training process.
    """

    pictures: int
    pixels: int
    crowded: float = 0.0
    crowding: int = 4
    shared: int = 0
    processes: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "pictures", "pixels", "crowding")
        at_least(self, 0, "shared", "processes")
        fraction(self, "crowded")


@dataclass(frozen=True)
class ShapesConfig:
    """The drawn world and its base model.

    cached: number of distinct pictures that the UNet and the adapter train on; their latents stay
        in memory.
    unet: the UNet and its text encoder.
    pool: the scenes of ``python -m training world``.
    minutes: time limit of this command; 0 = none. The stages share the time that is left by their
        own ``minutes``.
    reserve: minutes of the limit for the export.
    init: folder of models in the format of ``demo/``, from which the stages of that command start;
        None = from scratch. Single stages refuse it.
    export: folder to which that command writes the models; None = ``models`` in the run's folder.
    stages: that it trains. The weights of the others come from ``init`` or an earlier run.
    graphs: replay each training step from CUDA graphs, see ``GraphedLoss``; single stages: that of the
        autoencoder.
    """

    world: World
    cached: int
    vae: VAEConfig
    unet: StageConfig
    pool: PoolConfig | None = None
    minutes: float = 0.0
    reserve: float = 0.2
    init: PathText | None = None
    export: PathText | None = None
    stages: tuple[Literal["vae", "unet", "adapter"], ...] = ("vae", "unet", "adapter")
    graphs: bool = True

    def __post_init__(self) -> None:
        if self.world.size % SIZE_STEP:
            raise ValueError(
                f"world.size is {self.world.size}; expected a multiple of {SIZE_STEP}: the UNet halves its "
                "grid of cells twice."
            )
        at_least(self, 1, "cached")
        at_least(self, 0, "minutes", "reserve")
        filled(self, "stages")


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
