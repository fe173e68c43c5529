"""Checked conversion between state dicts and adapters. Opens no files (see ``storage``).

Two formats are read. The release's ``spd_adapter.bin`` is a dict of three dicts:
``text_proj_model``, ``adapter_modules`` and ``pos_net``. Our ``.safetensors`` is a flat dict with
the names of ``IFAdapter.state_dict()``, and the settings as JSON in the metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from .adapter import IFAdapter
from .config import (
    FAMILIES,
    RELEASE_SETTINGS,
    IFAdapterConfig,
    LayerConfig,
    PositionConfig,
    ResamplerConfig,
    Settings,
    settings_from_json,
    settings_to_json,
)

FORMAT = "ifadapter"
FORMAT_VERSION = "1"
MAX_LISTED = 8  # keys listed per kind of problem in an error

RELEASE_PARTS = ("text_proj_model", "adapter_modules", "pos_net")
# Our names -> the release's.
RELEASE_NAMES = (
    (r"resampler\.appearance_queries", "text_proj_model.latents"),
    (r"resampler\.layers\.(\d+)\.attention\.(.+)", r"text_proj_model.layers.\1.0.\2"),
    (r"resampler\.layers\.(\d+)\.mlp\.(.+)", r"text_proj_model.layers.\1.1.\2"),
    (r"resampler\.(.+)", r"text_proj_model.\1"),
    (r"position_net\.mlp\.(.+)", r"pos_net.linears_position.\1"),
    (r"layers\.(\d+)\.fusion\.cbam\.channel\.(.+)", r"adapter_modules.\1.cbam.cam.linear.\2"),
    (r"layers\.(\d+)\.fusion\.cbam\.spatial\.(.+)", r"adapter_modules.\1.cbam.sam.conv.\2"),
    (r"layers\.(\d+)\.fusion\.importance\.(.+)", r"adapter_modules.\1.conv.\2"),
    (r"(?:layers|projections)\.(\d+)\.(.+)", r"adapter_modules.\1.\2"),
)
EXPECTED = (
    "Expected the release's spd_adapter.bin (Hugging Face: WuYW/IFAdapter), or a .safetensors made from it "
    "by python -m ifadapter_core.convert or by this project's trainer."
)


class CheckpointError(ValueError):
    """Not an IFAdapter, or an incomplete one. The message lists the problems."""


@dataclass(frozen=True)
class AdapterWeights:
    """A checked adapter.

    config: shapes and settings.
    tensors: weights, named as in ``IFAdapter.state_dict()``.
    """

    config: IFAdapterConfig
    tensors: dict[str, Tensor]


def read_checkpoint(data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> AdapterWeights:
    """Check the content of an adapter file in either format.

    data: the release's dict of dicts, or our flat state dict.
    metadata: of our .safetensors file.

    Raises CheckpointError that lists all keys that are missing, unexpected or of the wrong shape.
    """
    if not isinstance(data, Mapping):
        raise CheckpointError(f"This is not an IFAdapter: the file holds a {type(data).__name__}. {EXPECTED}")
    if any(part in data for part in RELEASE_PARTS):
        return _check(_flatten(data), RELEASE_SETTINGS, release_name)
    if (metadata or {}).get("format") == FORMAT:
        return _check(data, _stored_settings(metadata or {}), str)
    raise CheckpointError(f"This is not an IFAdapter: it seems to be {guess_kind(data)}. {EXPECTED}")


def build_adapter(weights: AdapterWeights, operations: Any = nn) -> IFAdapter:
    """An IFAdapter that uses these tensors without a copy, frozen, in evaluation mode."""
    adapter = IFAdapter(weights.config, operations, device=torch.device("meta"))
    adapter.load_state_dict(weights.tensors, assign=True)
    return adapter.eval().requires_grad_(False)


def metadata_for(config: IFAdapterConfig) -> dict[str, str]:
    """Metadata of our .safetensors format."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "settings": settings_to_json(config.settings)}


def release_name(name: str) -> str:
    """The release's name ("part.key") of one of our tensors. Raises KeyError if unknown."""
    for pattern, replacement in RELEASE_NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise KeyError(name)


def guess_kind(data: Mapping[str, Any]) -> str:
    """What a state dict seems to be, for errors about the wrong file."""
    keys = [str(key) for key in data]

    def has(*parts: str) -> bool:
        return any(part in key for key in keys for part in parts)

    if has("lora_", "_lora.", ".lokr_", ".hada_"):
        return "a LoRA"
    if has("ip_adapter", "to_k_ip"):
        return f"an IP-Adapter{_ip_adapter_base(data)}"
    if has("projections.") and has("resampler."):
        return "an IFAdapter that lost its metadata (convert the original file again)"
    if has("control_model.", "input_hint_block", "controlnet_"):
        return "a ControlNet"
    if has("model.diffusion_model."):
        return "a full checkpoint (it belongs into a checkpoint loader)"
    if has("decoder.conv_in", "encoder.conv_in"):
        return "a VAE"
    if has("down_blocks.", "input_blocks.", "double_blocks."):
        return "a diffusion model without text encoders"
    if has("text_model.", "transformer.resblocks", "encoder.block."):
        return "a text encoder"
    if has("string_to_param", "emb_params", "clip_l", "clip_g"):
        return "a textual inversion embedding"
    if not keys:
        return "something else (it is empty)"
    return f"something else (its keys begin with {', '.join(map(repr, keys[:3]))})"


def _ip_adapter_base(data: Mapping[str, Any]) -> str:
    """Base model of an IP-Adapter, as " for <name>"; "" if its weights do not show it."""
    part = data.get("ip_adapter")
    for key, tensor in (part if isinstance(part, Mapping) else data).items():
        if key.endswith("to_k_ip.weight") and isinstance(tensor, Tensor):
            family = FAMILIES.get(tensor.shape[-1])
            return f" for {family.name if family else 'another base model'}"
    return ""


def _flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the release's parts to one dict with keys "part.key"."""
    flat: dict[str, Any] = {}
    for part, content in data.items():
        flat.update(
            {f"{part}.{key}": value for key, value in content.items()}
            if isinstance(content, Mapping)
            else {str(part): content}
        )
    return flat


def _check(
    given: Mapping[str, Any], settings: Settings, name_in_file: Callable[[str], str]
) -> AdapterWeights:
    """Check keys and shapes of a state dict. name_in_file: our tensor name -> name in ``given``."""
    config = _derive_config(given, settings, name_in_file)
    expected = IFAdapter(config, device=torch.device("meta")).state_dict()
    names = {name: name_in_file(name) for name in expected}
    known = set(names.values())  # names in the file
    wrong_shape = [
        f"{key} {tuple(value.shape)}, expected {tuple(expected[name].shape)}"
        for name, key in names.items()
        if _is_weight(value := given.get(key)) and value.shape != expected[name].shape
    ]
    _raise_if_any(
        {
            "missing": [key for key in names.values() if key not in given],
            "unexpected": [str(key) for key in given if key not in known],
            "not a tensor of numbers": [key for key in known if key in given and not _is_weight(given[key])],
            "of the wrong shape": wrong_shape,
        }
    )
    return AdapterWeights(config, {name: given[key] for name, key in names.items()})


def _raise_if_any(problems: Mapping[str, list[str]]) -> None:
    """Raise one CheckpointError that lists all problems, with at most MAX_LISTED keys per kind."""
    listed = [
        f"{len(keys)} {kind}: {', '.join(keys[:MAX_LISTED])}"
        + (f" and {len(keys) - MAX_LISTED} more" if len(keys) > MAX_LISTED else "")
        for kind, keys in problems.items()
        if keys
    ]
    if listed:
        raise CheckpointError(f"This IFAdapter file does not fit together: {'; '.join(listed)}. {EXPECTED}")


def _is_weight(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def _stored_settings(metadata: Mapping[str, str]) -> Settings:
    """Settings from the metadata of our .safetensors format."""
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"This IFAdapter file has format version {version}; this pack reads {FORMAT_VERSION}. "
            "Update ComfyUI-IFAdapter."
        )
    try:
        return settings_from_json(metadata.get("settings", ""))
    except ValueError as error:
        raise CheckpointError(f"{error}. {EXPECTED}") from None


def _derive_config(
    given: Mapping[str, Any], settings: Settings, name_in_file: Callable[[str], str]
) -> IFAdapterConfig:
    """Derive the config from tensor shapes. Raises CheckpointError if a shape is unusable."""
    processors = _indices(given, r"(?:adapter_modules|projections|layers)\.(\d+)\.")
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
    values = {name: given.get(name_in_file(name)) for name in anchors}
    shapes = {name: tuple(value.shape) for name, value in values.items() if _is_weight(value)}
    unusable = [
        name_in_file(name)
        for name, axes in anchors.items()
        if len(shapes.get(name, ())) != axes or 0 in shapes[name]
    ]
    if not processors:
        unusable.append(name_in_file("layers.0.*").replace("0", "<index>", 1))
    _raise_if_any({"missing or of the wrong shape": unusable})
    width, text_width = shapes["resampler.proj_in.weight"]
    (head_dim,) = shapes["resampler.layers.0.attention.q_norm.weight"]
    token_width = shapes["resampler.proj_out.weight"][0]
    resampler = ResamplerConfig(
        text_width=text_width,
        width=width,
        token_width=token_width,
        queries=shapes["resampler.appearance_queries"][1],
        layers=len(_indices(given, r"(?:text_proj_model|resampler)\.layers\.(\d+)\.")),
        heads=shapes["resampler.layers.0.attention.to_q.weight"][0] // head_dim,
        head_dim=head_dim,
        mlp_width=shapes["resampler.layers.0.mlp.gate_proj.weight"][0],
    )
    hidden_width, features = shapes["position_net.mlp.0.weight"]
    return IFAdapterConfig(
        resampler=resampler,
        position=PositionConfig(
            frequencies=features // 8, hidden_width=hidden_width, token_width=token_width
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
        heads=width // head_dim,
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
