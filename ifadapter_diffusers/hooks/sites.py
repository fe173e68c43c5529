"""Where an adapter acts in a pipeline's UNet, and whether it fits the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ifadapter_core.config import IFAdapterConfig

BLOCKS = ("down_blocks.", "up_blocks.", "mid_block.")  # not the projections of an IP-Adapter


@dataclass(frozen=True)
class Site:
    """One adapted layer, by the names of modules in the UNet.

    key: of the layer in ``IFAdapter.layers``.
    attention: its cross attention.
    transformer: the module around it, whose input (B, C, h, w) has the grid of the layer.
    """

    key: str
    attention: str
    transformer: str


def find_sites(unet: Any, config: IFAdapterConfig, text_width: int, pipeline: str) -> tuple[Site, ...]:
    """Find every layer of an adapter in a UNet.

    text_width: channels of the pipeline's text features, encoders concatenated.
    pipeline: its name, for messages.

    Raises ValueError if the adapter does not fit the pipeline; the message describes both.
    """
    names = [name for name in unet.attn_processors if name.startswith(BLOCKS)]
    sites, mismatched = [], []
    for layer in config.layers:
        name = names[layer.processor].removesuffix(".processor") if layer.processor < len(names) else ""
        attention = unet.get_submodule(name) if name.endswith("attn2") else None
        if attention is None or (attention.heads, attention.inner_dim) != (layer.heads, layer.width):
            mismatched.append(layer.processor)
            continue
        sites.append(Site(str(layer.processor), name, name.partition(".transformer_blocks.")[0]))
    if mismatched or text_width != config.resampler.text_width:
        missing = f" and no matching layer at {_listed(mismatched)}" if mismatched else ""
        raise ValueError(
            f"The adapter does not fit this pipeline. It was made for {config.base_model}: text features "
            f"{config.resampler.text_width} wide, {len(config.layers)} layers, "
            f"{_listed(sorted({layer.width for layer in config.layers}))} wide, at the attention processors "
            f"{_listed([layer.processor for layer in config.layers])}. The {pipeline} has text features "
            f"{text_width} wide, {len(names)} attention processors{missing}. Use a pipeline of the adapter's "
            "base model, or another adapter."
        )
    return tuple(sites)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
