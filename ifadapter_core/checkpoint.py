"""State dicts <-> adapters: the one checked door for weights, and the only file that knows the release's key names.

Two layouts are read. The release's ``spd_adapter.bin`` is a dict of three dicts (``text_proj_model``,
``adapter_modules``, ``pos_net``). Our own ``.safetensors`` is flat, named as ``IFAdapter.state_dict()``, with the
config as JSON in the metadata. Nothing here opens a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import IFAdapter
from .config import (
    RELEASE_SLOTS,
    TEXT_DEPTHS,
    TEXT_WIDTHS,
    IFAdapterConfig,
    LayerConfig,
    PositionConfig,
    ResamplerConfig,
    config_from_json,
    config_to_json,
)

FORMAT = "ifadapter"
FORMAT_VERSION = "1"
SHOWN = 8  # keys of one kind that an error spells out

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
    "Expected the release's spd_adapter.bin (Hugging Face: WuYW/IFAdapter), or a .safetensors made from it by "
    "python -m ifadapter_core.convert or by this project's trainer."
)


class CheckpointError(ValueError):
    """A file that is not an IFAdapter, or not a whole one; the message lists what is wrong with it."""


@dataclass(frozen=True)
class AdapterWeights:
    """A checked adapter: its config, and its tensors under the names of ``IFAdapter.state_dict()``."""

    config: IFAdapterConfig
    tensors: dict[str, Tensor]


def read_checkpoint(data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> AdapterWeights:
    """Check what was loaded from a file, in either layout.

    data: the release's dict of dicts, or our flat state dict; metadata: that of our safetensors.
    Raises CheckpointError that lists every key that is missing, unexpected or of the wrong shape.
    """
    if not isinstance(data, Mapping):
        raise CheckpointError(f"This is not an IFAdapter: the file holds a {type(data).__name__}. {EXPECTED}")
    if any(part in data for part in RELEASE_PARTS):
        given = _flatten(data)
        return AdapterWeights(config := _derive_config(given), _checked_tensors(given, config, release_name))
    if (metadata or {}).get("format") == FORMAT:
        return AdapterWeights(config := _stored_config(metadata or {}), _checked_tensors(data, config, str))
    raise CheckpointError(f"This is not an IFAdapter: it seems to be {guess_kind(data)}. {EXPECTED}")


def build_adapter(weights: AdapterWeights, operations: Any = nn) -> IFAdapter:
    """An IFAdapter that holds these tensors themselves, in their dtypes and on their device, frozen for inference."""
    adapter = IFAdapter(weights.config, operations, device=torch.device("meta"))
    adapter.load_state_dict(weights.tensors, assign=True)
    return adapter.eval().requires_grad_(False)


def metadata_for(config: IFAdapterConfig) -> dict[str, str]:
    """Metadata of our safetensors format."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, "config": config_to_json(config)}


def release_name(name: str) -> str:
    """The release's name, part and key joined by a dot, of one of our tensors."""
    for pattern, replacement in RELEASE_NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise KeyError(name)


def guess_kind(data: Mapping[str, Any]) -> str:
    """What a state dict seems to be, in words, for errors about the wrong file."""
    keys = [str(key) for key in data]

    def has(*parts: str) -> bool:
        return any(part in key for key in keys for part in parts)

    if has("lora_up", "lora_down", "lora_A", "lora_B", "lora_unet", ".lokr_", ".hada_"):
        return "a LoRA"
    if has("ip_adapter", "to_k_ip"):
        return f"an IP-Adapter{_ip_adapter_base(data)}"
    if has("projections.") and has("resampler."):
        return "an IFAdapter that lost its metadata (convert the original file again)"
    if has("control_model.", "input_hint_block", "controlnet_"):
        return "a ControlNet"
    if has("model.diffusion_model."):
        return "a full checkpoint (it belongs into a checkpoint loader)"
    if has("down_blocks.", "input_blocks.", "double_blocks."):
        return "a diffusion model without text encoders"
    if has("text_model.", "transformer.resblocks", "encoder.block."):
        return "a text encoder"
    if has("decoder.conv_in", "encoder.conv_in"):
        return "a VAE"
    if has("string_to_param", "emb_params", "clip_l", "clip_g"):
        return "a textual inversion embedding"
    return f"something else ({'its keys begin with ' + ', '.join(map(repr, keys[:3])) if keys else 'it is empty'})"


def _ip_adapter_base(data: Mapping[str, Any]) -> str:
    part = data.get("ip_adapter")
    for key, tensor in (part if isinstance(part, Mapping) else data).items():
        if key.endswith("to_k_ip.weight") and isinstance(tensor, Tensor):
            return f" for {TEXT_WIDTHS.get(tensor.shape[-1], 'another base model')}"
    return ""


def _flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """The release's parts as one dict, part and key joined by a dot."""
    flat: dict[str, Any] = {}
    for part, content in data.items():
        flat.update({f"{part}.{key}": value for key, value in content.items()} if isinstance(content, Mapping) else {str(part): content})
    return flat


def _checked_tensors(given: Mapping[str, Any], config: IFAdapterConfig, name_in_file: Callable[[str], str]) -> dict[str, Tensor]:
    """Our names -> the file's tensors, when every key is there, none is left over, and every shape is right."""
    expected = IFAdapter(config, device=torch.device("meta")).state_dict()
    names = {name: name_in_file(name) for name in expected}
    known = set(names.values())
    problems = [
        _problem("missing", [key for key in names.values() if key not in given]),
        _problem("unexpected", [key for key in given if key not in known]),
        _problem("not a tensor of numbers", [key for key, value in given.items() if key in known and not _is_weight(value)]),
        _problem(
            "of the wrong shape",
            [
                f"{key} {tuple(given[key].shape)}, expected {tuple(expected[name].shape)}"
                for name, key in names.items()
                if _is_weight(given.get(key)) and given[key].shape != expected[name].shape
            ],
        ),
    ]
    if any(problems):
        raise CheckpointError(f"This IFAdapter file does not fit together: {'; '.join(filter(None, problems))}. {EXPECTED}")
    return {name: given[key] for name, key in names.items()}


def _is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _problem(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)} {kind}: {', '.join(keys[:SHOWN])}{more}"


def _stored_config(metadata: Mapping[str, str]) -> IFAdapterConfig:
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"This IFAdapter file has format version {version}; this pack reads {FORMAT_VERSION}. Update ComfyUI-IFAdapter."
        )
    try:
        return config_from_json(metadata.get("config", ""))
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _derive_config(given: Mapping[str, Any]) -> IFAdapterConfig:
    """The config of a release checkpoint, from its shapes.

    What shapes do not tell (text depths, slots, fusion order, the mask quirk) is the release's.
    """
    shapes = {key: tuple(value.shape) for key, value in given.items() if _is_weight(value)}
    processors = sorted({int(match[1]) for key in shapes if (match := re.match(r"adapter_modules\.(\d+)\.", key))})
    layers = _count(shapes, r"text_proj_model\.layers\.(\d+)\.")
    wanted = {
        "text_proj_model.latents": 3,
        "text_proj_model.proj_in.weight": 2,
        "text_proj_model.proj_out.weight": 2,
        "text_proj_model.layers.0.0.to_q.weight": 2,
        "text_proj_model.layers.0.0.q_norm.weight": 1,
        "text_proj_model.layers.0.1.gate_proj.weight": 2,
        "pos_net.linears_position.0.weight": 2,
    }
    per_layer = {"to_k_ap.weight": 2, "q_norm.weight": 1, "cbam.cam.linear.0.weight": 2, "cbam.sam.conv.weight": 4}
    wanted |= {f"adapter_modules.{processor}.{key}": axes for processor in processors for key, axes in per_layer.items()}
    lost = [key for key, axes in wanted.items() if len(shapes.get(key, ())) != axes or 0 in shapes[key]]
    if lost or not processors:
        lost = lost or ["adapter_modules.<processor index>.*"]
        raise CheckpointError(f"This IFAdapter file does not fit together: {_problem('missing or of the wrong shape', lost)}. {EXPECTED}")
    return IFAdapterConfig(
        resampler=ResamplerConfig(
            text_width=shapes["text_proj_model.proj_in.weight"][1],
            width=shapes["text_proj_model.proj_in.weight"][0],
            token_width=shapes["text_proj_model.proj_out.weight"][0],
            queries=shapes["text_proj_model.latents"][1],
            layers=layers,
            heads=shapes["text_proj_model.layers.0.0.to_q.weight"][0] // shapes["text_proj_model.layers.0.0.q_norm.weight"][0],
            head_dim=shapes["text_proj_model.layers.0.0.q_norm.weight"][0],
            mlp_width=shapes["text_proj_model.layers.0.1.gate_proj.weight"][0],
            cumulative_mask=True,
        ),
        position=PositionConfig(
            frequencies=shapes["pos_net.linears_position.0.weight"][1] // 8,
            hidden_width=shapes["pos_net.linears_position.0.weight"][0],
            token_width=shapes["text_proj_model.proj_out.weight"][0],
        ),
        layers=tuple(_derive_layer(shapes, processor) for processor in processors),
        text_depths=TEXT_DEPTHS,
        slots=RELEASE_SLOTS,
        fusion_order="gate_before_softmax",
    )


def _derive_layer(shapes: Mapping[str, tuple[int, ...]], processor: int) -> LayerConfig:
    prefix = f"adapter_modules.{processor}."
    width, token_width = shapes[prefix + "to_k_ap.weight"]
    head_dim = shapes[prefix + "q_norm.weight"][0]
    return LayerConfig(
        processor=processor,
        heads=width // head_dim,
        head_dim=head_dim,
        token_width=token_width,
        gate_width=shapes[prefix + "cbam.cam.linear.0.weight"][0],
        gate_kernel=shapes[prefix + "cbam.sam.conv.weight"][-1],
    )


def _count(shapes: Mapping[str, Any], pattern: str) -> int:
    return 1 + max((int(match[1]) for key in shapes if (match := re.match(pattern, key))), default=-1)
