"""What a state dict seems to be, for errors about files that are no IFAdapter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..config import FAMILIES, shortened


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
    return f"something else (its keys begin with {', '.join(map(shortened, keys[:3]))})"


def _ip_adapter_base(data: Mapping[str, Any]) -> str:
    """Base model of an IP-Adapter, as " for <name>"; "" if its weights do not show it."""
    part = data.get("ip_adapter")
    for key, tensor in (part if isinstance(part, Mapping) else data).items():
        if key.endswith("to_k_ip.weight") and isinstance(tensor, Tensor):
            family = FAMILIES.get(tensor.shape[-1])
            return f" for {family.name if family else 'another base model'}"
    return ""


def is_occlurank(keys: Iterable[str]) -> bool:
    """Whether these keys, in the release's names, are of OccluRank (2026).

    It keeps the release's parts, but its layers have a transformer over the instances, ``lrt``, in
    place of the convolution that scores them.
    """
    names = {key.split(".")[2] for key in keys if re.match(r"adapter_modules\.\d+\.", key)}
    return "lrt" in names and "conv" not in names
