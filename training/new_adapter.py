"""A new adapter for a base model: its shape, and the weights that it starts from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.checkpoint import AdapterWeights, build_adapter
from ifadapter_core.config import IFAdapterConfig, LayerConfig, PositionConfig, ResamplerConfig, Settings
from ifadapter_core.storage import load_weights
from ifadapter_core.weights.errors import listed
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.hooks.sites import find_sites

from .config import AdapterConfig, AdapterShape
from .config_reader import build, read_recipe

OF_NEW_WEIGHTS = ("alpha", "base_projections")  # settings that have no effect on weights of a file


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

    layers = select_layers(unet, shape)
    names = list(unet.attn_processors)
    found = [names[layer.processor] for layer in layers]
    if missing := [block for block in shape.blocks if not any(_is_in(name, block) for name in found)]:
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


def select_layers(unet: UNet2DConditionModel, shape: AdapterShape) -> list[LayerConfig]:
    """The cross-attention layers that a shape adapts, by their index among the UNet's processors."""
    layers = []
    for index, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        transformer_block = int(name.split("transformer_blocks.")[1].split(".")[0])
        chosen = any(_is_in(name, block) for block in shape.blocks)
        if name.endswith("attn2.processor") and chosen and transformer_block < shape.transformer_blocks:
            width = attention.to_q.out_features
            layers.append(
                LayerConfig(
                    processor=index,
                    heads=attention.heads,
                    head_dim=width // attention.heads,
                    token_width=unet.config["cross_attention_dim"],
                    gate_width=max(width // shape.gate_reduction, 1),
                    gate_kernel=shape.gate_kernel,
                )
            )
    return layers


def _is_in(name: str, block: str) -> bool:
    return name.startswith(f"{block}.")


def new_adapter(base: BaseModel, shape: AdapterShape, init: AdapterWeights | None = None) -> IFAdapter:
    """An adapter to train, float32: with new weights, or with those of ``init``, whatever the shape.

    A warning says what ``init`` has otherwise than the shape.

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
    if differing := shape_differences(init.config, shape, base.unet):
        logging.warning("adapter.init decides the adapter's shape: %s.", "; ".join(differing))
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


def load_init(path: str) -> AdapterWeights:
    """The adapter file from which a training starts.

    Raises ValueError, with the name of the setting, if it cannot be read.
    """
    if not Path(path).is_file():
        raise ValueError(f"adapter.init: there is no file {path}.")
    try:
        return load_weights(path)
    except ValueError as error:
        raise ValueError(f"adapter.init: {error}") from error


def shape_differences(config: IFAdapterConfig, shape: AdapterShape, unet: UNet2DConditionModel) -> list[str]:
    """What an adapter has otherwise than a shape asks for on a UNet: each as "key its value, not another"."""
    own = {
        "width": config.resampler.width,
        "heads": config.resampler.heads,
        "resampler_layers": config.resampler.layers,
        "queries": config.resampler.queries,
        "frequencies": config.position.frequencies,
        "position_width": config.position.hidden_width,
        "text_depths": config.settings.text_depths,
        "slots": config.settings.slots,
        "cumulative_mask": config.settings.cumulative_mask,
    }
    return [
        *_layer_differences(config.layers, select_layers(unet, shape), list(unet.attn_processors)),
        *(
            f"{key} {value}, not {getattr(shape, key)}"
            for key, value in own.items()
            if value != getattr(shape, key)
        ),
    ]


def _layer_differences(
    own: Sequence[LayerConfig], asked: Sequence[LayerConfig], processors: Sequence[str]
) -> list[str]:
    """Which layers differ, and how those that both have."""
    has, wants = ({layer.processor: layer for layer in layers} for layers in (own, asked))
    names = [name.removesuffix(".attn2.processor") for name in processors]
    found = []
    if has.keys() != wants.keys():
        more = [names[index] for index in has if index not in wants]
        less = [names[index] for index in wants if index not in has]
        parts = [f"{word} {listed(part)}" for word, part in (("with", more), ("without", less)) if part]
        found.append(f"layers {len(has)}, not {len(wants)} ({', '.join(parts)})")
    both = has.keys() & wants.keys()
    for key in ("gate_width", "gate_kernel"):
        values = [
            ", ".join(map(str, sorted({getattr(layers[index], key) for index in both})))
            for layers in (has, wants)
        ]
        if any(getattr(has[index], key) != getattr(wants[index], key) for index in both):
            found.append(f"{key} {values[0]}, not {values[1]}")
    return found


def unused_with_init(config: AdapterConfig) -> list[str]:
    """The settings of new weights that a config sets by itself, although it starts from ``adapter.init``.

    Those that its recipe sets are not its own.
    """
    usual = {entry.name: entry.default for entry in fields(AdapterShape) if entry.name in OF_NEW_WEIGHTS}
    given = read_recipe(config.recipe).get("shape", {}) if config.recipe is not None else {}
    usual |= {key: value for key, value in given.items() if key in OF_NEW_WEIGHTS}
    shape = build(AdapterShape, {**asdict(config.shape), **usual}, f"recipe {config.recipe}")
    return [
        f"adapter.shape.{key} {getattr(config.shape, key)}"
        for key in OF_NEW_WEIGHTS
        if getattr(config.shape, key) != getattr(shape, key)
    ]
