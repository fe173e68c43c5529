"""Locates the adapted layers in the host's UNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import comfy.ldm.modules.attention

from ...ifadapter_core.config import IFAdapterConfig


class LayerId(NamedTuple):
    """A cross-attention layer as the host addresses it.

    block: "input", "middle" or "output".
    number: index of the block's stage.
    transformer_index: index of the transformer block in the stage.
    """

    block: str
    number: int
    transformer_index: int


def find_layers(model: Any, config: IFAdapterConfig) -> dict[int, LayerId]:
    """Processor index -> location in the UNet, for every layer of the adapter.

    model: the host's MODEL.
    Raises ValueError if the adapter does not fit the model; the message describes both.
    """
    unet = model.model.diffusion_model
    name = type(getattr(model.model, "model_config", model.model)).__name__
    if not all(hasattr(unet, part) for part in ("input_blocks", "middle_block", "output_blocks")):
        raise ValueError(
            f"{_describe(config)} The model ({name}) has no UNet. Use a checkpoint of the "
            "adapter's base model."
        )
    # Processors alternate between self attention (even index) and cross attention (odd index).
    layers = {2 * position + 1: layer for position, layer in enumerate(_cross_attentions(unet))}
    mismatched = [
        layer.processor
        for layer in config.layers
        if layer.processor not in layers or layers[layer.processor][1] != (layer.heads, layer.head_dim)
    ]
    if mismatched:
        widths = sorted({heads * head_dim for _, (heads, head_dim) in layers.values()})
        raise ValueError(
            f"{_describe(config)} The model ({name}) has {2 * len(layers)} attention processors, "
            f"with layers {', '.join(map(str, widths))} wide, and no matching layer at "
            f"{', '.join(map(str, mismatched))}. Use a checkpoint of the adapter's base model, or "
            "another adapter."
        )
    return {layer.processor: layers[layer.processor][0] for layer in config.layers}


def _cross_attentions(unet: Any) -> Iterator[tuple[LayerId, tuple[int, int]]]:
    """Location and (heads, head_dim) of each cross attention, in diffusers' order: down, up, mid."""
    stages = {
        "input": unet.input_blocks,
        "output": unet.output_blocks,
        "middle": [unet.middle_block],
    }
    for block, parts in stages.items():
        for number, part in enumerate(parts):
            for module in part:
                if isinstance(module, comfy.ldm.modules.attention.SpatialTransformer):
                    for index, transformer in enumerate(module.transformer_blocks):
                        attention = transformer.attn2
                        yield LayerId(block, number, index), (attention.heads, attention.dim_head)


def _describe(config: IFAdapterConfig) -> str:
    widths = ", ".join(str(width) for width in sorted({layer.width for layer in config.layers}))
    processors = ", ".join(str(layer.processor) for layer in config.layers)
    return (
        f"The adapter does not fit this model. The adapter was made for {config.base_model}: "
        f"{len(config.layers)} layers, {widths} wide, at the attention processors {processors}."
    )
