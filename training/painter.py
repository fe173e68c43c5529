"""Pictures of scenes by each of the methods that are compared, all from the same noise and, but for one, the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.convert import load_weights
from ifadapter_core.layout import Layout

from .adapted_unet import AdaptedUNet
from .base_model import BaseModel
from .loop import generator
from .regional import RegionalUNet, sample_regional
from .sampling import GUIDANCE, STEPS, encode_layout, sample_layouts, sample_plain
from .sheet import to_bytes
from .words import placed_caption

METHODS = {
    "real": "real drawings",
    "caption": "caption only",
    "placed": "caption with rough places",
    "regional": "regional attention, no training",
    "appearance": "IFAdapter, appearance tokens only",
    "eot": "IFAdapter, EoT token only",
    "full": "IFAdapter",
}

Pixels = NDArray[np.uint8]


class Painter:
    """The models in a folder (see ``demo/``), put to work."""

    def __init__(self, demo: Path, seed: int = 0, steps: int = STEPS, guidance: float = GUIDANCE) -> None:
        self.base = BaseModel.from_pretrained(str(demo))
        self.adapter = build_adapter(load_weights(demo / "ifadapter.safetensors")).float()
        self.seed, self.steps, self.guidance = seed, steps, guidance

    def paint(self, method: str, layouts: Sequence[Layout], first: int = 0) -> Pixels:
        """sRGB (len(layouts), height, width, 3). first: the number of the first layout, from which its noise comes."""
        noise, settings = generator(self.seed, first), (self.steps, self.guidance)
        processors = self.base.unet.attn_processors
        try:
            if method == "placed":
                layouts = [replace(layout, caption=placed_caption(layout), instances=()) for layout in layouts]
            if method in ("caption", "placed"):
                return to_bytes(sample_plain(self.base, layouts, noise, *settings))
            if method == "regional":
                return to_bytes(sample_regional(RegionalUNet(self.base.unet), self.base, layouts, noise, *settings))
            adapted = AdaptedUNet(self.base.unet, self.adapter)
            instances = [encode_layout(adapted, self.base, layout) for layout in layouts]
            if method != "full":
                instances = [tokens.select(method == "appearance", method == "eot") for tokens in instances]
            return to_bytes(sample_layouts(adapted, self.base, layouts, noise, *settings, instances))
        finally:
            self.base.unet.set_attn_processor(processors)
