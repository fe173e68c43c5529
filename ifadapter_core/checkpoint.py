"""Checked conversion between state dicts and adapters. Opens no files (see ``storage``).

Two formats are read. The release's ``spd_adapter.bin`` is a dict of three dicts:
``text_proj_model``, ``adapter_modules`` and ``pos_net``; flat keys "part.key" are read as well.
Our ``.safetensors`` is a flat dict with the names of ``IFAdapter.state_dict()``, and the settings as
JSON in the metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import IFAdapter
from .config import (
    RELEASE_SETTINGS,
    IFAdapterConfig,
    Settings,
    settings_from_json,
    settings_to_json,
    unquoted,
)
from .weights.errors import EXPECTED, CheckpointError, listed, raise_if_any
from .weights.kinds import guess_kind, is_occlurank
from .weights.sizes import derive_config
from .weights.tensors import (
    NOT_FLOATING,
    NOT_PLAIN,
    extremes_of,
    is_weight,
    non_finite,
    not_floating,
    not_plain,
)

FORMAT = "ifadapter"
FORMAT_VERSION = "1"

RELEASE_PARTS = ("text_proj_model", "adapter_modules", "pos_net")
FLAT_RELEASE = "adapter_modules."  # keys of the release, when a converter joined them to flat names
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
# A weight of a numbered layer in the release's names.
LAYER_KEY = re.compile(r"(?:adapter_modules|text_proj_model\.layers)\.[^.]*\.(?P<tail>.+)")


@dataclass(frozen=True, eq=False)
class AdapterWeights:
    """A checked adapter.

    config: shapes and settings.
    tensors: weights, named as in ``IFAdapter.state_dict()``.
    ignored: keys of the file that are no part of an adapter.
    beyond_float16: names of tensors with values that are infinite in float16.
    """

    config: IFAdapterConfig
    tensors: dict[str, Tensor]
    ignored: tuple[str, ...] = ()
    beyond_float16: tuple[str, ...] = ()


def read_checkpoint(data: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> AdapterWeights:
    """Check the content of an adapter file in either format.

    data: the release's dict of dicts, or our flat state dict.
    metadata: of our .safetensors file.

    In the release's format, keys that an adapter does not have are left out, as in the release's
    loader, and listed in the result. Raises CheckpointError that lists all keys that are missing,
    unexpected or of the wrong shape, and for sizes out of bounds and weights that are not finite.
    """
    if not isinstance(data, Mapping):
        raise CheckpointError(f"This is not an IFAdapter: the file holds a {type(data).__name__}. {EXPECTED}")
    if (metadata or {}).get("format") == FORMAT:
        return _check(data, _stored_settings(metadata or {}), str, extra_keys=False)
    data = _unwrapped(data)
    if any(part in data for part in RELEASE_PARTS) or any(key.startswith(FLAT_RELEASE) for key in data):
        flat = _flatten(data)
        if is_occlurank(flat):
            raise CheckpointError(
                "This is a checkpoint of OccluRank, a follow-up of IFAdapter: its layers have lrt.* in place "
                f"of the gate's conv.*, which this pack cannot run. {EXPECTED}"
            )
        return _check(flat, RELEASE_SETTINGS, release_name, extra_keys=True)
    for key, value in data.items():
        if isinstance(value, Mapping) and any(part in value for part in RELEASE_PARTS):
            raise CheckpointError(
                f"This file has an IFAdapter inside of {unquoted(key)}. Save that part alone. {EXPECTED}"
            )
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


def _flatten(data: Mapping[str, Any]) -> dict[str, Any]:
    """The release's parts as one dict with keys "part.key", as some converters write them already."""
    flat: dict[str, Any] = {}
    for part, content in data.items():
        if part in RELEASE_PARTS and isinstance(content, Mapping):
            flat.update({f"{part}.{key}": value for key, value in _unwrapped(content).items()})
        else:
            flat[part] = content
    return flat


def _unwrapped(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The state dict without the prefixes of DistributedDataParallel and torch.compile."""
    names = {key: re.sub(r"^((module|_orig_mod)\.)+", "", str(key)) for key in content}
    return {str(key) if names[key] in content else names[key]: value for key, value in content.items()}


def _check(
    given: Mapping[str, Any], settings: Settings, name_in_file: Callable[[str], str], extra_keys: bool
) -> AdapterWeights:
    """Check keys, shapes and values of a state dict.

    name_in_file: our tensor name -> name in ``given``. extra_keys: whether other keys are allowed.
    """
    try:
        config = derive_config(given, settings, name_in_file)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"This IFAdapter file is refused: {error} {EXPECTED}") from None
    expected = IFAdapter(config, device=torch.device("meta")).state_dict()
    names = {name: name_in_file(name) for name in expected}
    known = set(names.values())  # names in the file
    wrong_shape = [
        f"{key} {tuple(value.shape)}, expected {tuple(expected[name].shape)}"
        for name, key in names.items()
        if is_weight(value := given.get(key)) and value.shape != expected[name].shape
    ]
    unexpected = tuple(str(key) for key in given if key not in known)
    problems = {
        "missing": [key for key in names.values() if key not in given],
        NOT_FLOATING: not_floating(given, names.values()),
        NOT_PLAIN: not_plain(given, names.values()),
        "of the wrong shape": wrong_shape,
    }
    if any(problems.values()) or not extra_keys:
        raise_if_any({**problems, "unexpected": unexpected})
    raise_if_any({"with a bad index of a layer": _misnumbered(unexpected, known)})
    extremes = extremes_of({key: given[key] for key in names.values()})
    if bad := non_finite(extremes):
        raise CheckpointError(
            f"This IFAdapter file has NaN or infinite weights, which give black pictures: {listed(bad)}. "
            "Its training went wrong; use a file saved before that."
        )
    tensors = {name: given[key] for name, key in names.items()}
    large = set(non_finite(extremes, torch.float16))
    return AdapterWeights(
        config, tensors, unexpected, tuple(name for name, key in names.items() if key in large)
    )


def _misnumbered(unexpected: Iterable[str], known: set[str]) -> list[str]:
    """Unexpected keys that differ from a known one only in the index of the layer."""
    tails = {match["tail"] for key in known if (match := LAYER_KEY.fullmatch(key))}
    return [key for key in unexpected if (match := LAYER_KEY.fullmatch(key)) and match["tail"] in tails]


def _stored_settings(metadata: Mapping[str, str]) -> Settings:
    """Settings from the metadata of our .safetensors format."""
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"This IFAdapter file has format version {unquoted(str(version))}; this pack reads "
            f"{FORMAT_VERSION}. Update ComfyUI-IFAdapter."
        )
    try:
        return settings_from_json(metadata.get("settings", ""))
    except ValueError as error:
        raise CheckpointError(f"{error} {EXPECTED}") from None
