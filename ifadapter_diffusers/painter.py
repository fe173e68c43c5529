"""Pictures of layouts by the methods that the results compare, all from the same noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ifadapter_core.checkpoint import build_adapter
from ifadapter_core.config import IFAdapterConfig
from ifadapter_core.layout import Layout
from ifadapter_core.storage import load_weights

from .adapted_unet import AdaptedUNet
from .base_model import BaseModel
from .contact_sheet import to_bytes
from .demo_settings import GUIDANCE, STEPS
from .randomness import seeded_generator
from .regional import RegionalUNet, sample_regional
from .sampling import (
    DEFAULT_CONTROL,
    Control,
    batch_tokens,
    sample_layouts,
    sample_plain,
    unit_noise,
)

Pixels = NDArray[np.uint8]
NOISE_ROWS = 32  # layouts that share a random generator; part of what a seed means


@dataclass(frozen=True)
class Method:
    """One way to paint a layout.

    key: name on the command line and in file names.
    title: name in tables and on contact sheets.
    sample: (painter, layouts, unit noise (B, C, h, w)) -> pictures (B, 3, H, W) in about -1..1.
    """

    key: str
    title: str
    sample: Callable[[Painter, Sequence[Layout], Tensor], Tensor]


class Painter:
    """A base model and an adapter, ready to paint layouts.

    models: see ``BaseModel.from_pretrained``.
    steps, guidance: DDIM steps; scale of the classifier-free guidance.
    adapter: weight file; default: ``ifadapter.safetensors`` in the folder ``models``.
    layers: attention processors at which the adapter acts; default: all of the adapter's.
    dtype: of the UNet and the text encoders; the adapter stays float32.
    """

    def __init__(
        self,
        models: str | Path,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        *,
        adapter: Path | None = None,
        control: Control = DEFAULT_CONTROL,
        layers: Sequence[int] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.base = BaseModel.from_pretrained(str(models), dtype).to(device)
        weights = load_weights(adapter or Path(models) / "ifadapter.safetensors")
        self.adapter = build_adapter(weights).float().to(device)
        if layers is not None:
            self.adapter.config = with_layers(self.adapter.config, layers)
        self.seed, self.steps, self.guidance, self.control = seed, steps, guidance, control

    def paint(self, method: Method, layouts: Sequence[Layout], first: int = 0) -> Pixels:
        """Layouts of one canvas size -> sRGB pictures (len(layouts), height, width, 3).

        first: index of the first layout; with the seed it determines the noise. Layouts that are
            painted together get the same noise as in calls of ``NOISE_ROWS`` each.
        """
        return self.paint_from(method, layouts, self.noise(layouts, first))

    def noise(self, layouts: Sequence[Layout], first: int = 0) -> Tensor:
        """The unit noise (B, C, h, w) of layouts; see ``paint``."""
        starts = range(0, len(layouts), NOISE_ROWS)
        parts = [
            unit_noise(
                self.base, layouts[start : start + NOISE_ROWS], seeded_generator(self.seed, first + start)
            )
            for start in starts
        ]
        return torch.cat(parts)

    def paint_from(self, method: Method, layouts: Sequence[Layout], noise: Tensor) -> Pixels:
        """As ``paint``, from given unit noise (B, C, h, w)."""
        processors = self.base.unet.attn_processors
        try:
            return to_bytes(method.sample(self, layouts, noise))
        finally:  # methods replace the processors
            self.base.unet.set_attn_processor(processors)


def paint_captions(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    """The base model alone, from the layouts' prompts."""
    return sample_plain(painter.base, layouts, noise, painter.steps, painter.guidance)


def paint_regions(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    """The training-free baseline of ``regional``."""
    regional = RegionalUNet(painter.base.unet)
    return sample_regional(regional, painter.base, layouts, noise, painter.steps, painter.guidance)


def paint_instances(
    painter: Painter,
    layouts: Sequence[Layout],
    noise: Tensor,
    appearance: bool = True,
    eot: bool = True,
) -> Tensor:
    """The adapter, with all of its tokens or with one kind only (the paper's ablation)."""
    adapted = AdaptedUNet(painter.base.unet, painter.adapter)
    tokens = batch_tokens(painter.adapter, painter.base, layouts)
    selected = [each.select(appearance, eot) for each in tokens]
    return sample_layouts(
        adapted, painter.base, layouts, noise, painter.steps, painter.guidance, selected, painter.control
    )


METHODS = {
    method.key: method
    for method in (
        Method("caption", "caption only", paint_captions),
        Method("regional", "regional attention, no training", paint_regions),
        Method("appearance", "IFAdapter, appearance tokens only", partial(paint_instances, eot=False)),
        Method("eot", "IFAdapter, EoT token only", partial(paint_instances, appearance=False)),
        Method("full", "IFAdapter", paint_instances),
    )
}


def with_layers(config: IFAdapterConfig, processors: Sequence[int]) -> IFAdapterConfig:
    """The config with only the layers at these attention processors.

    Raises ValueError, listing the adapter's processors, for an unknown or an empty choice.
    """
    known = {layer.processor: layer for layer in config.layers}
    if not processors or not known.keys() >= set(processors):
        raise ValueError(
            f"The layers asked for are {sorted(processors)}; "
            f"expected some of the adapter's, {', '.join(map(str, known))}."
        )
    return replace(config, layers=tuple(layer for layer in config.layers if layer.processor in processors))
