"""The compared methods: the painter's, and captions with rough positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_diffusers.painter import METHODS as GENERAL_METHODS
from ifadapter_diffusers.painter import Method, Painter, paint_captions

from .descriptions import placed_caption


def paint_placed_captions(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    """The base model alone, from captions that say where each instance is ("small, upper left")."""
    captioned = [replace(layout, caption=placed_caption(layout), instances=()) for layout in layouts]
    return paint_captions(painter, captioned, noise)


PLACED = Method("placed", "caption with rough positions", paint_placed_captions)
METHODS = {
    method.key: method
    for method in (
        GENERAL_METHODS["caption"],
        PLACED,
        *(method for key, method in GENERAL_METHODS.items() if key != "caption"),
    )
}
