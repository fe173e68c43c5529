"""The method on diffusers as a source of pictures, for use without ComfyUI."""

from __future__ import annotations

from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_diffusers.painter import Method, Painter


class DiffusersSource:
    """Paints with one row of the method table."""

    name = "diffusers"

    def __init__(self, painter: Painter, method: Method) -> None:
        self._painter = painter
        self._method = method

    def paint(self, layout: Layout, seed: int) -> Image.Image:
        """Paints one layout per call, with noise from the seed, so no picture depends on another."""
        return Image.fromarray(self._painter.paint(self._method, [layout], first=seed)[0])
