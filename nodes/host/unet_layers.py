"""The adapted layers' places in the host's UNet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from comfy.ldm.modules.attention import SpatialTransformer

from ...ifadapter_core.config import IFAdapterConfig


class LayerId(NamedTuple):
    """A cross-attention layer as the host addresses it."""

    block: str  # "input", "middle" or "output"
    number: int
    transformer_index: int


def find_layers(model: Any, config: IFAdapterConfig) -> dict[int, LayerId]:
    """Processor index -> place in the UNet, for every layer of the adapter.

    model: the host's MODEL. Raises ValueError, naming both, when the adapter does not fit it.
    """
    unet = model.model.diffusion_model
    name = type(getattr(model.model, "model_config", model.model)).__name__
    if not all(hasattr(unet, part) for part in ("input_blocks", "middle_block", "output_blocks")):
        raise ValueError(
            f"{_describe(config)} The model ({name}) has no UNet; load a checkpoint of the adapter's base model."
        )
    layers = {
        2 * position + 1: layer for position, layer in enumerate(_cross_attentions(unet))
    }  # attn1 and attn2 alternate
    wrong = [
        layer.processor
        for layer in config.layers
        if layer.processor not in layers or layers[layer.processor][1] != (layer.heads, layer.head_dim)
    ]
    if wrong:
        widths = sorted({heads * head_dim for _, (heads, head_dim) in layers.values()})
        raise ValueError(
            f"{_describe(config)} The model ({name}) has {2 * len(layers)} attention processors, with layers "
            f"{', '.join(map(str, widths))} wide, and no matching layer at {', '.join(map(str, wrong))}. "
            "Use a checkpoint of the adapter's base model, or another adapter."
        )
    return {layer.processor: layers[layer.processor][0] for layer in config.layers}


def _cross_attentions(unet: Any) -> Iterator[tuple[LayerId, tuple[int, int]]]:
    """Every transformer block with its (heads, head_dim), in the order in which diffusers counts: down, up, mid."""
    for block, stages in (
        ("input", unet.input_blocks),
        ("output", unet.output_blocks),
        ("middle", [unet.middle_block]),
    ):
        for number, stage in enumerate(stages):
            for module in stage:
                if isinstance(module, SpatialTransformer):
                    for index, transformer in enumerate(module.transformer_blocks):
                        yield (
                            LayerId(block, number, index),
                            (transformer.attn2.heads, transformer.attn2.dim_head),
                        )


def _describe(config: IFAdapterConfig) -> str:
    widths = ", ".join(str(width) for width in sorted({layer.width for layer in config.layers}))
    return (
        f"The adapter does not fit this model. The adapter was made for {config.base_model}: {len(config.layers)} layers, "
        f"{widths} wide, at the attention processors {', '.join(str(layer.processor) for layer in config.layers)}."
    )
