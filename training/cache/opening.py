"""Opens the caches of a run, after a check that they are of what it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifadapter_diffusers.base_model import TEXT_ENCODERS, VAE, BaseModel

from ..config import Config
from ..cropping.crops import Crops
from . import latents, texts
from .contents import Content, latents_made_of, texts_made_of
from .latents import CachedLatents
from .parts import COMMAND, Parts
from .texts import CachedTexts


@dataclass(frozen=True)
class Caches:
    """What is read in place of being encoded; None = encoded in each step."""

    latents: CachedLatents | None = None
    texts: CachedTexts | None = None

    def unneeded(self) -> list[str]:
        """The parts of a base model that no step needs."""
        return [VAE] * (self.latents is not None) + [TEXT_ENCODERS] * (self.texts is not None)


def open_caches(config: Config, base: BaseModel, crops: Crops, depths: Sequence[int]) -> Caches:
    """The caches that the settings ask for.

    depths: of the local descriptions, see ``BaseModel.embed_phrases``.

    Raises ValueError that says what to do, if there is none, if it is not complete, or if it is of other
    pictures, crops, weights or precision.
    """
    settings = config.cache
    if settings is None:
        return Caches()
    of_latents: CachedLatents | None = None
    of_texts: CachedTexts | None = None
    if settings.latents:
        folder = Path(settings.path) / latents.FOLDER
        content = _content(folder)
        of_latents = CachedLatents(
            _checked(folder, content, latents_made_of(config, base, crops)), crops.count
        )
    if settings.text:
        folder = Path(settings.path) / texts.FOLDER
        content = _content(folder)
        made_of = texts_made_of(config, base, crops, depths, content.of_crops)
        of_texts = CachedTexts(_checked(folder, content, made_of), base.is_sdxl)
    return Caches(of_latents, of_texts)


def _content(folder: Path) -> Content:
    content = Content.read(folder)
    if content is None:
        raise ValueError(
            f"There is no cache in {folder}. Run `{COMMAND}` with this config and settings first."
        )
    return content


def _checked(folder: Path, content: Content, made_of: Mapping[str, Any]) -> Parts:
    content.check(folder, made_of)
    parts = Parts(folder, content.parts, content.digest)
    if missing := parts.missing():
        raise ValueError(
            f"The cache in {folder} lacks {len(missing)} of {parts.count} files. "
            f"Run `{COMMAND}` with this config and settings again; it writes the missing ones."
        )
    return parts
