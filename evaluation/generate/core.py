"""The core with diffusers as a source of pictures, for people without ComfyUI."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_diffusers.painter import Painter

from ..files import digest_of


class Core:
    """One of the painter's methods."""

    name = "core"

    def __init__(self, painter: Painter, method: str) -> None:
        self._painter = painter
        self._method = method

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """The noise comes from the seed alone; layouts are painted one by one, so that no picture depends on another."""
        return Image.fromarray(self._painter.paint(self._method, [layout], first=seed)[0])


def weights_of(models: str) -> str:
    """Of a folder or a file, what changes with the weights; of a name on the hub, the name."""
    path = Path(models)
    if path.is_file():
        return digest_of(path)
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else []
    return digest_of(*files) if files else models
