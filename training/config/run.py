"""A whole config file, and how it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

from ..config_reader import build, config_path, read_config
from ..value_checks import PathText, filled
from .adapter import AdapterConfig
from .folder import CacheConfig, FolderConfig


@dataclass(frozen=True)
class Config:
    """A whole config file. The drawn world adds a section (see ``shapes/models/config.py``).

    output: folder of the run.
    base: base model: a folder in diffusers' format, a hub name, or a checkpoint file.
    folder: the pictures to train on.
    vae: an autoencoder in place of the base model's own: a folder in diffusers' format or a hub name. It
        runs in the precision of ``mixed_precision``; the base model's own always in float32.
    cache: what is read from a cache in place of being encoded in each step.
    """

    output: PathText
    adapter: AdapterConfig
    base: PathText | None = None
    folder: FolderConfig | None = None
    vae: PathText | None = None
    cache: CacheConfig | None = None

    def __post_init__(self) -> None:
        filled(self, "output")
        if self.vae is not None and self.base is None:
            raise ValueError(f"vae is {self.vae}, but the config names no base model. Give base too.")
        if self.cache is not None:
            if self.base is None or self.folder is None:
                raise ValueError("cache needs a base model and pictures. Give base and folder.path.")
            if self.cache.latents and not self.folder.crops:
                raise ValueError(
                    "cache.latents needs fixed crops. Set folder.crops, for example folder.crops=1, "
                    "or cache.latents=false."
                )


ConfigKind = TypeVar("ConfigKind", bound=Config)


@overload
def load_config(name: str, overrides: Sequence[str] = ()) -> Config: ...
@overload
def load_config(name: str, overrides: Sequence[str], kind: type[ConfigKind]) -> ConfigKind: ...
def load_config(name: str, overrides: Sequence[str] = (), kind: type[Config] = Config) -> Config:
    """Read a config file and apply overrides such as ``adapter.loop.steps=100``.

    name: a config in ``configs/``, or the path of a .yaml file. kind: dataclass of the whole file.
    Raises ValueError naming the key if one is unknown, missing or of the wrong type.
    """
    return build(kind, read_config(name, overrides), config_path(name).name)
