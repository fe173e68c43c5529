"""Pictures of scenes by each of the methods that are compared, all from the same noise and, but for one, the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.config import IFAdapterConfig
from ifadapter_core.layout import Layout
from ifadapter_core.storage import load_weights
from shapes.descriptions import placed_caption

from .adapted_unet import AdaptedUNet
from .base_model import BaseModel
from .contact_sheet import to_bytes
from .randomness import seeded_generator
from .regional import RegionalUNet, sample_regional
from .sampling import AS_TRAINED, GUIDANCE, STEPS, Control, encode_layout, sample_layouts, sample_plain

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
    """A base model and an adapter, put to work.

    models: what ``BaseModel.from_pretrained`` takes. adapter: its file; without it the one in the folder of the models (see ``demo/``).
    layers: numbers of the attention processors where the adapter acts; without them, all that it has.
    """

    def __init__(
        self,
        models: str | Path,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        *,
        adapter: Path | None = None,
        control: Control = AS_TRAINED,
        layers: Sequence[int] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.base = BaseModel.from_pretrained(str(models), dtype).to(device)
        self.adapter = (
            build_adapter(load_weights(adapter or Path(models) / "ifadapter.safetensors")).float().to(device)
        )
        if layers is not None:
            self.adapter.config = with_layers(self.adapter.config, layers)
        self.seed, self.steps, self.guidance, self.control = seed, steps, guidance, control

    def paint(self, method: str, layouts: Sequence[Layout], first: int = 0) -> Pixels:
        """sRGB (len(layouts), height, width, 3). first: the number of the first layout, from which its noise comes."""
        noise, settings = seeded_generator(self.seed, first), (self.steps, self.guidance)
        processors = self.base.unet.attn_processors
        try:
            if method == "placed":
                layouts = [
                    replace(layout, caption=placed_caption(layout), instances=()) for layout in layouts
                ]
            if method in ("caption", "placed"):
                return to_bytes(sample_plain(self.base, layouts, noise, *settings))
            if method == "regional":
                return to_bytes(
                    sample_regional(RegionalUNet(self.base.unet), self.base, layouts, noise, *settings)
                )
            adapted = AdaptedUNet(self.base.unet, self.adapter)
            instances = [encode_layout(adapted, self.base, layout) for layout in layouts]
            if method != "full":
                instances = [tokens.select(method == "appearance", method == "eot") for tokens in instances]
            return to_bytes(
                sample_layouts(adapted, self.base, layouts, noise, *settings, instances, self.control)
            )
        finally:
            self.base.unet.set_attn_processor(processors)


def with_layers(config: IFAdapterConfig, processors: Sequence[int]) -> IFAdapterConfig:
    """Only the layers of these attention processors. Raises ValueError that names those that there are."""
    known = {layer.processor: layer for layer in config.layers}
    if not processors or not known.keys() >= set(processors):
        raise ValueError(
            f"The layers asked for are {sorted(processors)}; expected some of the adapter's, {', '.join(map(str, known))}."
        )
    return replace(config, layers=tuple(layer for number, layer in known.items() if number in processors))
