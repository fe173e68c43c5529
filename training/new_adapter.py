"""A new adapter for a base model: its shape, and the weights that it starts from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights, build_adapter
from ifadapter_core.config import IFAdapterConfig, LayerConfig, PositionConfig, ResamplerConfig, Settings
from ifadapter_core.storage import load_weights
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.hooks.sites import find_sites

from .config import AdapterShape


def adapter_config(unet: UNet2DConditionModel, text_width: int, shape: AdapterShape) -> IFAdapterConfig:
    """The config of a new adapter for a UNet.

    Raises ValueError if the text encoder does not fit the UNet, or a block has no cross attention.
    """
    token_width = unet.config["cross_attention_dim"]
    if token_width != text_width:
        raise ValueError(
            f"The UNet reads {token_width}-wide text features and the text encoders give {text_width}: "
            "they must be the same."
        )

    # Choose the cross-attention layers, identified by their index among the UNet's processors.
    layers, found = [], set()
    for index, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        transformer_block = int(name.split("transformer_blocks.")[1].split(".")[0])
        blocks = [block for block in shape.blocks if name.startswith(f"{block}.")]
        if name.endswith("attn2.processor") and blocks and transformer_block < shape.transformer_blocks:
            found.update(blocks)
            width = attention.to_q.out_features
            layers.append(
                LayerConfig(
                    processor=index,
                    heads=attention.heads,
                    head_dim=width // attention.heads,
                    token_width=token_width,
                    gate_width=max(width // shape.gate_reduction, 1),
                    gate_kernel=shape.gate_kernel,
                )
            )
    if missing := [block for block in shape.blocks if block not in found]:
        raise ValueError(f"The UNet has no cross attention in the blocks {', '.join(missing)}.")

    resampler = ResamplerConfig(
        text_width=text_width,
        width=shape.width,
        token_width=token_width,
        queries=shape.queries,
        layers=shape.resampler_layers,
        heads=shape.heads,
        head_dim=shape.width // shape.heads,
        mlp_width=4 * shape.width,
    )
    return IFAdapterConfig(
        resampler,
        PositionConfig(shape.frequencies, shape.position_width, token_width),
        tuple(layers),
        Settings(shape.text_depths, shape.slots, "gate_before_softmax", shape.cumulative_mask),
    )


def new_adapter(base: BaseModel, shape: AdapterShape, init: AdapterWeights | None = None) -> IFAdapter:
    """An adapter to train, float32: with new weights, or with those of ``init``, whatever the shape.

    Raises ValueError if the shape or ``init`` does not fit the base model.
    """
    if init is None:
        adapter = IFAdapter(adapter_config(base.unet, base.text_width, shape))
        initialize_from(base.unet, adapter, shape.alpha, shape.base_projections)
        return adapter
    try:
        find_sites(base.unet, init.config, base.text_width, "base model")
    except ValueError as error:
        raise ValueError(f"adapter.init: {error}") from error
    return build_adapter(init).float().train().requires_grad_(True)


@torch.no_grad()
def initialize_from(
    unet: UNet2DConditionModel, adapter: IFAdapter, alpha: float, projections: bool = True
) -> None:
    """Set the adapter's gates, and copy the UNet's text projections into it.

    As in IP-Adapter (Ye et al. 2023, section 3.2).
    projections: False leaves the adapter's own projections.
    """
    names = list(unet.attn_processors)
    for layer in adapter.config.layers:
        attention = unet.get_submodule(names[layer.processor].removesuffix(".processor"))
        projection: Any = adapter.projections[str(layer.processor)]
        adapted: Any = adapter.layers[str(layer.processor)]
        if projections:
            projection.to_k_ap.weight.copy_(attention.to_k.weight)
            projection.to_v_ap.weight.copy_(attention.to_v.weight)
        nn.init.constant_(adapted.alpha, alpha)


def load_init(path: str, shape: AdapterShape) -> AdapterWeights:
    """The adapter file from which a training starts. It decides the shape; a warning says what differs.

    Raises ValueError, with the name of the setting, if it cannot be read.
    """
    if not Path(path).is_file():
        raise ValueError(f"adapter.init: there is no file {path}.")
    try:
        weights = load_weights(path)
    except ValueError as error:
        raise ValueError(f"adapter.init: {error}") from error
    if found := shape_differences(weights.config, shape):
        logging.warning("%s decides the adapter's shape: %s.", path, "; ".join(found))
    return weights


def shape_differences(config: IFAdapterConfig, shape: AdapterShape) -> list[str]:
    """What an adapter has otherwise than a shape asks for, each as "key its value, not the shape's"."""
    own = {
        "width": config.resampler.width,
        "heads": config.resampler.heads,
        "resampler_layers": config.resampler.layers,
        "queries": config.resampler.queries,
        "frequencies": config.position.frequencies,
        "position_width": config.position.hidden_width,
        "gate_kernel": config.layers[0].gate_kernel,
        "text_depths": config.settings.text_depths,
        "slots": config.settings.slots,
        "cumulative_mask": config.settings.cumulative_mask,
    }
    return [
        f"{key} {value}, not {getattr(shape, key)}"
        for key, value in own.items()
        if value != getattr(shape, key)
    ]
