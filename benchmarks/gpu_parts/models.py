"""Sizes of the models, and random weights for them made on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from release_size import SDXL_PROCESSORS, SDXL_UNET
from torch import nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.config import (
    RELEASE_SETTINGS,
    IFAdapterConfig,
    LayerConfig,
    PositionConfig,
    ResamplerConfig,
)

FREQUENCIES = 64  # of the release's box embedding


@dataclass(frozen=True)
class Sizes:
    """One size of everything.

    adapter: the adapter. unet: ComfyUI's settings of the UNet. diffusers: those of diffusers' UNet.
    encoders: overrides of ComfyUI's text encoders, by name. text_width, pooled_width: of the text.
    picture_px: side of the picture.
    """

    adapter: IFAdapterConfig
    unet: dict[str, Any]
    diffusers: dict[str, Any]
    encoders: dict[str, dict[str, int]]
    text_width: int
    pooled_width: int
    picture_px: int


def adapter_config(
    text_width: int, width: int, heads: int, head_dim: int, layer: LayerConfig, processors: tuple[int, ...]
) -> IFAdapterConfig:
    """The release's architecture. width: of the resampler. layer: sizes of every adapted layer."""
    return IFAdapterConfig(
        resampler=ResamplerConfig(text_width, width, text_width, 4, 4, heads, head_dim, 4 * width),
        position=PositionConfig(FREQUENCIES, 768 if text_width == 2048 else 48, text_width),
        layers=tuple(
            LayerConfig(
                processor,
                layer.heads,
                layer.head_dim,
                layer.token_width,
                layer.gate_width,
                layer.gate_kernel,
            )
            for processor in processors
        ),
        settings=RELEASE_SETTINGS,
    )


RELEASE = Sizes(
    adapter=adapter_config(2048, 2560, 20, 128, LayerConfig(0, 20, 64, 2048, 80, 7), tuple(SDXL_PROCESSORS)),
    unet=SDXL_UNET,
    diffusers={
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "projection_class_embeddings_input_dim": 2816,
    },
    encoders={},
    text_width=2048,
    pooled_width=1280,
    picture_px=1024,
)
SMALL = Sizes(
    adapter=adapter_config(96, 32, 2, 16, LayerConfig(0, 2, 32, 96, 4, 7), (13, 15, 17, 19, 21, 23, 31, 33)),
    unet={
        **SDXL_UNET,
        "model_channels": 32,
        "channel_mult": [1, 1, 2],
        "transformer_depth": [0, 0, 1, 1, 2, 2],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        "transformer_depth_middle": 2,
        "context_dim": 96,
        "adm_in_channels": 64 + 6 * 256,
        "num_head_channels": 32,
    },
    diffusers={
        "sample_size": 16,
        "block_out_channels": (32, 32, 64),
        "transformer_layers_per_block": (1, 1, 2),
        "attention_head_dim": (1, 1, 2),
        "cross_attention_dim": 96,
        "projection_class_embeddings_input_dim": 64 + 6 * 256,
    },
    encoders={
        f"{name}_model_config": {
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_attention_heads": 2,
            "projection_dim": width,
        }
        for name, width in (("clip_l", 32), ("clip_g", 64))
    },
    text_width=96,
    pooled_width=64,
    picture_px=128,
)


def random_adapter(
    sizes: Sizes,
    device: torch.device,
    dtype: torch.dtype,
    operations: Any = nn,
    adapter_class: Any = IFAdapter,
) -> Any:
    """An adapter with random weights and open gates (alpha = 1)."""
    adapter = adapter_class(sizes.adapter, operations, device, dtype)
    fill(adapter)
    for layer in adapter.layers.values():
        nn.init.ones_(layer.alpha)
    return adapter


def fill(module: nn.Module, gain: float = 0.5) -> None:
    """Random weights in place: matrices of ``gain`` / sqrt(inputs), norms 1, biases 0; frozen.

    With 0.5 the activations of a deep UNet stay finite in float16.
    """
    module.eval().requires_grad_(False)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=gain / math.sqrt(parameter[0].numel()))
        elif name.endswith("weight") and "_norm." not in name:
            parameter.fill_(1)
        else:
            parameter.zero_()
