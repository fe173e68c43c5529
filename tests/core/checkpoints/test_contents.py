"""Contents of adapter files: the release's format and our own, derived sizes, settings."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from checkpoint_data import flatten, message_of, release
from ifadapter_core.checkpoint import build_adapter, metadata_for, read_checkpoint, release_name
from ifadapter_core.config import BaseModelFamily


def test_every_release_tensor_is_mapped_once_and_unchanged() -> None:
    data = release()
    weights = read_checkpoint(data)
    given = flatten(data)
    mapped = [release_name(name) for name in weights.tensors]
    assert sorted(mapped) == sorted(given)
    for name, tensor in weights.tensors.items():
        assert tensor is given[release_name(name)]
    assert weights.tensors.keys() == build_adapter(weights).state_dict().keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resampler.appearance_queries", "text_proj_model.latents"),
        ("resampler.proj_in.bias", "text_proj_model.proj_in.bias"),
        ("resampler.attention_norm.weight", "text_proj_model.attention_norm.weight"),
        ("resampler.layers.3.attention.norm1.weight", "text_proj_model.layers.3.0.norm1.weight"),
        ("resampler.layers.11.mlp.gate_proj.weight", "text_proj_model.layers.11.1.gate_proj.weight"),
        ("position_net.mlp.4.bias", "pos_net.linears_position.4.bias"),
        ("layers.121.alpha", "adapter_modules.121.alpha"),
        ("layers.121.q_norm.weight", "adapter_modules.121.q_norm.weight"),
        ("projections.121.k_norm.weight", "adapter_modules.121.k_norm.weight"),
        ("projections.49.to_v_ap.weight", "adapter_modules.49.to_v_ap.weight"),
        ("layers.49.fusion.cbam.channel.2.bias", "adapter_modules.49.cbam.cam.linear.2.bias"),
        ("layers.49.fusion.cbam.spatial.weight", "adapter_modules.49.cbam.sam.conv.weight"),
        ("layers.49.fusion.importance.bias", "adapter_modules.49.conv.bias"),
    ],
)
def test_release_names(name: str, expected: str) -> None:
    assert release_name(name) == expected


def test_release_name_of_an_unknown_name_raises() -> None:
    with pytest.raises(KeyError):
        release_name("somewhere.else")


def test_built_adapter_shares_the_tensors_and_is_frozen() -> None:
    weights = read_checkpoint(release())
    adapter = build_adapter(weights)
    assert not adapter.training
    assert adapter.config is weights.config
    for name, parameter in adapter.named_parameters():
        assert parameter.data_ptr() == weights.tensors[name].data_ptr()
        assert not parameter.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_keep_their_dtype(dtype: torch.dtype) -> None:
    data = {
        part: {key: value.to(dtype) for key, value in content.items()} for part, content in release().items()
    }
    assert {parameter.dtype for parameter in build_adapter(read_checkpoint(data)).parameters()} == {dtype}


def test_release_files_get_the_release_settings() -> None:
    config = read_checkpoint(release()).config
    assert config.settings.text_depths == (-2, -4, -6)
    assert config.settings.slots == 10
    assert config.settings.fusion_order == "gate_before_softmax"
    assert config.settings.cumulative_mask
    assert config.tokens_per_instance == 13


def test_sizes_are_derived_from_the_tensors() -> None:
    data = release(
        1,
        text_width=20,
        token_width=36,
        dim=24,
        depth=11,
        heads=3,
        head_dim=4,
        queries=7,
        mlp_ratio=2,
        position_width=40,
        layers=((3, 16, 4), (121, 64, 16), (57, 32, 32)),
    )
    config = read_checkpoint(data).config
    resampler = config.resampler
    assert (resampler.text_width, resampler.width, resampler.token_width) == (20, 24, 36)
    assert (
        resampler.queries,
        resampler.layers,
        resampler.heads,
        resampler.head_dim,
        resampler.mlp_width,
    ) == (7, 11, 3, 4, 48)
    assert (config.position.frequencies, config.position.hidden_width, config.position.token_width) == (
        64,
        40,
        36,
    )
    assert [
        (layer.processor, layer.heads, layer.head_dim, layer.width, layer.token_width, layer.gate_width)
        for layer in config.layers
    ] == [
        (3, 4, 4, 16, 36, 1),
        (57, 1, 32, 32, 36, 2),
        (121, 4, 16, 64, 36, 4),
    ]
    assert {layer.gate_kernel for layer in config.layers} == {7}
    assert config.tokens_per_instance == 22


@pytest.mark.parametrize(
    ("width", "base"), [(768, "SD 1.5"), (1024, "SD 2"), (2048, "SDXL"), (640, "640-wide")]
)
def test_base_model_is_recognized_by_the_width_of_its_text_features(width: int, base: str) -> None:
    config = read_checkpoint(release(text_width=width, token_width=16)).config
    assert base in config.base_model
    assert config.family.cell_px == 32


def test_base_model_family_can_be_overridden() -> None:
    weights = read_checkpoint(release(text_width=2048, token_width=16))
    family = BaseModelFamily("a small model", cell_px=8)
    config = replace(weights.config, family_override=family)
    assert config.family == family
    assert config.base_model == "a small model"
    adapter = build_adapter(replace(weights, config=config))
    phrases = (torch.zeros(1, 3, 4, 2048), torch.ones(1, 4), torch.zeros(1, 16))
    assert adapter.encode_instances(*phrases, torch.tensor([[0.0, 0.0, 1.0, 1.0]])).cell_px == 8
    assert adapter.no_instances().cell_px == 8


def test_own_format_round_trip() -> None:
    weights = read_checkpoint(release(2))
    settings = replace(
        weights.config.settings, slots=17, fusion_order="gate_after_softmax", cumulative_mask=False
    )
    config = replace(weights.config, settings=settings)
    again = read_checkpoint(weights.tensors, metadata_for(config))
    assert again.config == config
    assert again.tensors.keys() == weights.tensors.keys()
    assert all(again.tensors[name] is tensor for name, tensor in weights.tensors.items())


def test_metadata_has_format_version_and_settings() -> None:
    metadata = metadata_for(read_checkpoint(release()).config)
    settings = json.loads(metadata.pop("settings"))
    assert metadata == {"format": "ifadapter", "format_version": "1"}
    assert settings == {
        "text_depths": [-2, -4, -6],
        "slots": 10,
        "fusion_order": "gate_before_softmax",
        "cumulative_mask": True,
    }


def test_newer_format_version_is_rejected_with_a_hint() -> None:
    weights = read_checkpoint(release())
    message = message_of(weights.tensors, {**metadata_for(weights.config), "format_version": "2"})
    assert "format version 2" in message
    assert "reads 1" in message
    assert "Update ComfyUI-IFAdapter" in message


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_error_names_missing_metadata(metadata: dict[str, str] | None) -> None:
    assert "an IFAdapter that lost its metadata" in message_of(read_checkpoint(release()).tensors, metadata)


GOOD_SETTINGS = {
    "text_depths": [-2, -4, -6],
    "slots": 10,
    "fusion_order": "gate_before_softmax",
    "cumulative_mask": True,
}
BAD_SETTINGS = {
    "empty": ("", "settings cannot be read"),
    "not JSON": ("{", "settings cannot be read"),
    "a list": ("[]", "expected an object with text_depths, got '[]'"),
    "an empty object": ("{}", "expected an object with text_depths, got '{}'"),
    "a number": ("5", "settings cannot be read"),
    "null": ("null", "settings cannot be read"),
    "nested too deeply": ("[" * 100000, "settings cannot be read"),
    "another field": (json.dumps({**GOOD_SETTINGS, "flavour": "sweet"}), "flavour"),
    **{
        f"no {name}": (json.dumps({key: value for key, value in GOOD_SETTINGS.items() if key != name}), name)
        for name in GOOD_SETTINGS
    },
    **{
        f"{name} {value!r}": (json.dumps({**GOOD_SETTINGS, name: value}), "settings cannot be read")
        for name, values in {
            "text_depths": [[], None, 3, "deep", [0], [-2, -2], [-2.0], [[-2]], [True], [-10000]],
            "slots": [0, -1, "ten", 2.5, None, True, [10]],
            "fusion_order": ["none", None, 1, []],
            "cumulative_mask": ["yes", 1, None],
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_raise_a_checkpoint_error(case: str) -> None:
    weights = read_checkpoint(release())
    settings, part = BAD_SETTINGS[case]
    assert part in message_of(weights.tensors, {**metadata_for(weights.config), "settings": settings})


def test_missing_settings_raise_a_checkpoint_error() -> None:
    weights = read_checkpoint(release())
    metadata = {key: value for key, value in metadata_for(weights.config).items() if key != "settings"}
    assert "settings cannot be read" in message_of(weights.tensors, metadata)


@pytest.mark.parametrize("changes", [{"slots": 0}, {"fusion_order": "none"}, {"text_depths": ()}])
def test_settings_check_their_values(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        replace(read_checkpoint(release()).config.settings, **changes)
