"""The sizes of an adapter, from the shapes of its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..config import (
    MAX_LAYERS,
    IFAdapterConfig,
    LayerConfig,
    PositionConfig,
    ResamplerConfig,
    Settings,
    check_size,
)
from .errors import raise_if_any
from .tensors import NOT_FLOATING, NOT_PLAIN, is_weight, not_floating, not_plain


def derive_config(
    given: Mapping[str, Any], settings: Settings, name_in_file: Callable[[str], str]
) -> IFAdapterConfig:
    """Derive the config from tensor shapes.

    Raises CheckpointError if a shape is unusable, ValueError if one is out of bounds.
    """
    processors = _indices(
        given,
        r"(?:adapter_modules|projections|layers)\.(\d{1,9})\."
        r"(?:to_[kv]_ap|[qk]_norm|cbam|conv|fusion|alpha)(?:\.|$)",
    )
    if processors:
        check_size("the number of adapted layers", len(processors), MAX_LAYERS)
    anchors = {  # name: number of axes
        "resampler.appearance_queries": 3,
        "resampler.proj_in.weight": 2,
        "resampler.proj_out.weight": 2,
        "resampler.layers.0.attention.to_q.weight": 2,
        "resampler.layers.0.attention.q_norm.weight": 1,
        "resampler.layers.0.mlp.gate_proj.weight": 2,
        "position_net.mlp.0.weight": 2,
    }
    for processor in processors:
        anchors |= {f"projections.{processor}.to_k_ap.weight": 2, f"layers.{processor}.q_norm.weight": 1}
        anchors |= {
            f"layers.{processor}.fusion.cbam.channel.0.weight": 2,
            f"layers.{processor}.fusion.cbam.spatial.weight": 4,
        }
    raise_if_any({NOT_PLAIN: not_plain(given, map(name_in_file, anchors))})
    values = {name: given.get(name_in_file(name)) for name in anchors}
    shapes = {name: tuple(value.shape) for name, value in values.items() if is_weight(value)}
    wrong_type = not_floating(given, map(name_in_file, anchors))
    unusable = [
        name_in_file(name)
        for name, axes in anchors.items()
        if (values[name] is None or name in shapes)
        and (len(shapes.get(name, ())) != axes or 0 in shapes[name])
    ]
    if not processors:
        unusable.append(name_in_file("layers.0.*").replace("0", "<index>", 1))
    raise_if_any({"missing or of the wrong shape": unusable, NOT_FLOATING: wrong_type})
    width, text_width = shapes["resampler.proj_in.weight"]
    (head_dim,) = shapes["resampler.layers.0.attention.q_norm.weight"]
    token_width = shapes["resampler.proj_out.weight"][0]
    resampler = ResamplerConfig(
        text_width=text_width,
        width=width,
        token_width=token_width,
        queries=shapes["resampler.appearance_queries"][1],
        layers=len(_indices(given, r"(?:text_proj_model|resampler)\.layers\.(\d{1,9})\.")),
        heads=math.ceil(shapes["resampler.layers.0.attention.to_q.weight"][0] / head_dim),
        head_dim=head_dim,
        mlp_width=shapes["resampler.layers.0.mlp.gate_proj.weight"][0],
    )
    hidden_width, features = shapes["position_net.mlp.0.weight"]
    return IFAdapterConfig(
        resampler=resampler,
        position=PositionConfig(
            frequencies=math.ceil(features / 8), hidden_width=hidden_width, token_width=token_width
        ),
        layers=tuple(_derive_layer(shapes, processor) for processor in processors),
        settings=settings,
    )


def _derive_layer(shapes: Mapping[str, tuple[int, ...]], processor: int) -> LayerConfig:
    """The config of one adapted layer, from the shapes of its tensors."""
    width, token_width = shapes[f"projections.{processor}.to_k_ap.weight"]
    (head_dim,) = shapes[f"layers.{processor}.q_norm.weight"]
    return LayerConfig(
        processor=processor,
        heads=math.ceil(width / head_dim),
        head_dim=head_dim,
        token_width=token_width,
        gate_width=shapes[f"layers.{processor}.fusion.cbam.channel.0.weight"][0],
        gate_kernel=shapes[f"layers.{processor}.fusion.cbam.spatial.weight"][-1],
    )


def _indices(given: Mapping[str, Any], pattern: str) -> list[int]:
    """Sorted distinct numbers that the pattern's first group matches in the keys."""
    return sorted(
        {int(match[1]) for key in given if isinstance(key, str) and (match := re.match(pattern, key))}
    )
