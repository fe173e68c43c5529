"""The one checked door for weights: what is mapped, derived, refused, and what is said about it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

import reference
from ifadapter_core.checkpoint import (
    AdapterWeights,
    CheckpointError,
    build_adapter,
    guess_kind,
    metadata_for,
    read_checkpoint,
    release_name,
)
from ifadapter_core.config import BaseModelFamily

Data = dict[str, Any]


def release(seed: int = 0, **sizes: Any) -> reference.Checkpoint:
    return reference.make_release_checkpoint(seed, **sizes)


def flat(data: reference.Checkpoint) -> dict[str, torch.Tensor]:
    return {f"{part}.{key}": value for part, content in data.items() for key, value in content.items()}


def message_of(data: Any, metadata: dict[str, str] | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(data, metadata)
    return str(caught.value)


# The release's layout


def test_every_tensor_of_the_release_lands_once_and_unchanged() -> None:
    data = release()
    weights = read_checkpoint(data)
    given = flat(data)
    landed = [release_name(name) for name in weights.tensors]
    assert sorted(landed) == sorted(given)
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
def test_names_of_the_release(name: str, expected: str) -> None:
    assert release_name(name) == expected


def test_a_name_that_is_not_ours_has_none() -> None:
    with pytest.raises(KeyError):
        release_name("somewhere.else")


def test_the_adapter_holds_the_tensors_themselves_frozen_for_inference() -> None:
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


def test_what_shapes_do_not_tell_is_that_of_the_release() -> None:
    config = read_checkpoint(release()).config
    assert config.settings.text_depths == (-2, -4, -6)
    assert config.settings.slots == 10
    assert config.settings.fusion_order == "gate_before_softmax"
    assert config.settings.cumulative_mask
    assert config.tokens_per_instance == 13


def test_sizes_are_derived_from_the_file() -> None:
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
def test_base_model_is_recognised_by_the_width_of_its_text_features(width: int, base: str) -> None:
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


# Our own layout


def test_our_layout_gives_the_same_adapter_back() -> None:
    weights = read_checkpoint(release(2))
    settings = replace(
        weights.config.settings, slots=17, fusion_order="gate_after_softmax", cumulative_mask=False
    )
    config = replace(weights.config, settings=settings)
    again = read_checkpoint(weights.tensors, metadata_for(config))
    assert again.config == config
    assert again.tensors.keys() == weights.tensors.keys()
    assert all(again.tensors[name] is tensor for name, tensor in weights.tensors.items())


def test_metadata_is_text_that_names_format_version_and_settings() -> None:
    metadata = metadata_for(read_checkpoint(release()).config)
    settings = json.loads(metadata.pop("settings"))
    assert metadata == {"format": "ifadapter", "format_version": "1"}
    assert settings == {
        "text_depths": [-2, -4, -6],
        "slots": 10,
        "fusion_order": "gate_before_softmax",
        "cumulative_mask": True,
    }


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    weights = read_checkpoint(release())
    message = message_of(weights.tensors, {**metadata_for(weights.config), "format_version": "2"})
    assert "format version 2" in message
    assert "reads 1" in message
    assert "Update ComfyUI-IFAdapter" in message


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_lost_metadata_is_named(metadata: dict[str, str] | None) -> None:
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
    "a list": ("[]", "settings cannot be read"),
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
def test_bad_settings_are_a_checkpoint_error(case: str) -> None:
    weights = read_checkpoint(release())
    settings, part = BAD_SETTINGS[case]
    assert part in message_of(weights.tensors, {**metadata_for(weights.config), "settings": settings})


def test_lost_settings_are_a_checkpoint_error() -> None:
    weights = read_checkpoint(release())
    metadata = {key: value for key, value in metadata_for(weights.config).items() if key != "settings"}
    assert "settings cannot be read" in message_of(weights.tensors, metadata)


@pytest.mark.parametrize("changes", [{"slots": 0}, {"fusion_order": "none"}, {"text_depths": ()}])
def test_settings_are_checked_when_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        replace(read_checkpoint(release()).config.settings, **changes)


# Files that do not fit together


def test_missing_unexpected_and_misshapen_keys_are_all_in_one_error() -> None:
    data = release()
    del data["text_proj_model"]["norm_out.bias"]
    del data["text_proj_model"]["layers.2.0.k_norm.weight"]
    del data["adapter_modules"]["121.alpha"]
    data["adapter_modules"]["121.gamma"] = torch.zeros(1)
    data["pos_net"]["linears_position.6.weight"] = torch.zeros(1)
    data["pos_net"]["linears_position.4.bias"] = torch.zeros(5)
    data["adapter_modules"]["49.conv.weight"] = torch.zeros(1, 32)
    data["adapter_modules"]["49.conv.bias"] = torch.zeros(1, dtype=torch.int64)
    message = message_of(data)
    assert "3 missing" in message
    for key in (
        "text_proj_model.norm_out.bias",
        "text_proj_model.layers.2.0.k_norm.weight",
        "adapter_modules.121.alpha",
    ):
        assert key in message
    assert re.search(r"2 unexpected: [^;]*adapter_modules\.121\.gamma", message)
    assert re.search(r"2 unexpected: [^;]*pos_net\.linears_position\.6\.weight", message)
    assert re.search(r"1 not a tensor of numbers: adapter_modules\.49\.conv\.bias", message)
    assert "2 of the wrong shape" in message
    assert "pos_net.linears_position.4.bias (5,), expected (24,)" in message
    assert "adapter_modules.49.conv.weight (1, 32), expected (1, 32, 1, 1)" in message
    assert "spd_adapter.bin" in message  # what was expected


def test_our_own_layout_is_checked_in_the_same_way() -> None:
    weights = read_checkpoint(release())
    tensors = dict(weights.tensors)
    del tensors["layers.49.alpha"]
    tensors["layers.49.beta"] = torch.zeros(())
    tensors["resampler.proj_in.bias"] = torch.zeros(3)
    message = message_of(tensors, metadata_for(weights.config))
    for part in (
        "1 missing: layers.49.alpha",
        "1 unexpected: layers.49.beta",
        "1 of the wrong shape: resampler.proj_in.bias (3,), expected (32,)",
    ):
        assert part in message


def test_a_long_list_of_keys_is_cut_and_counted() -> None:
    data = release()
    for i in range(20):
        data["pos_net"][f"extra_{i:02}"] = torch.zeros(1)
    message = message_of(data)
    assert "20 unexpected: pos_net.extra_00" in message
    assert "and 12 more" in message
    assert "extra_19" not in message


@pytest.mark.parametrize("part", ["text_proj_model", "adapter_modules", "pos_net"])
@pytest.mark.parametrize("content", ["gone", {}, None, [], torch.zeros(2)])
def test_a_lost_part_is_named(part: str, content: Any) -> None:
    data: Data = {name: value for name, value in release().items() if name != part}
    if not isinstance(content, str):
        data[part] = content
    message = message_of(data)
    assert "does not fit together" in message
    assert part in message


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    "key",
    [
        "text_proj_model.latents",
        "text_proj_model.proj_in.weight",
        "text_proj_model.proj_out.weight",
        "text_proj_model.layers.0.0.to_q.weight",
        "text_proj_model.layers.0.0.q_norm.weight",
        "text_proj_model.layers.0.1.gate_proj.weight",
        "pos_net.linears_position.0.weight",
        "adapter_modules.49.to_k_ap.weight",
        "adapter_modules.49.q_norm.weight",
        "adapter_modules.121.cbam.cam.linear.0.weight",
        "adapter_modules.121.cbam.sam.conv.weight",
    ],
)
@pytest.mark.parametrize("shape", [None, (), (0, 0), (3,), (2, 3), (1, 2, 3), (1, 1, 1, 1)])
def test_a_key_that_sizes_hang_on_is_named_when_it_is_missing_or_misshapen(
    key: str, shape: tuple[int, ...] | None
) -> None:
    data = release()
    part, name = key.split(".", 1)
    if shape is None:
        del data[part][name]
    else:
        data[part][name] = torch.zeros(shape)
    message = message_of(data)
    assert "does not fit together" in message
    assert key in message or "of the wrong shape" in message  # its neighbours may be what no longer fits it


@pytest.mark.parametrize(
    "name",
    [
        "resampler.proj_in.weight",
        "position_net.mlp.0.weight",
        "projections.49.to_k_ap.weight",
        "layers.121.q_norm.weight",
    ],
)
def test_a_key_that_sizes_hang_on_is_named_in_our_own_layout_too(name: str) -> None:
    weights = read_checkpoint(release())
    tensors = {key: value for key, value in weights.tensors.items() if key != name}
    assert name in message_of(tensors, metadata_for(weights.config))


def test_a_gap_in_the_resamplers_layers_is_named() -> None:
    data = release()
    text = data["text_proj_model"]
    for key in [key for key in text if key.startswith("layers.3.")]:
        text[key.replace("layers.3.", "layers.900000000.")] = text.pop(key)
    message = message_of(data)
    assert "missing: text_proj_model.layers.3.0." in message
    assert "unexpected: text_proj_model.layers.900000000.0." in message


def test_a_layer_that_lost_most_of_its_keys_is_named() -> None:
    data = release()
    data["adapter_modules"] = {
        key: value
        for key, value in data["adapter_modules"].items()
        if not key.startswith("49.") or key == "49.alpha"
    }
    message = message_of(data)
    assert "adapter_modules.49.to_k_ap.weight" in message
    assert "adapter_modules.121" not in message


# Files that are something else


def zeros(*keys: str, shape: tuple[int, ...] = (2, 2)) -> Data:
    return {key: torch.zeros(shape) for key in keys}


WRONG_FILES: dict[str, tuple[Data, str]] = {
    "LoRA of kohya": (
        zeros(
            "lora_unet_down_blocks_1_attn2_to_k.lora_down.weight", "lora_unet_down_blocks_1_attn2_to_k.alpha"
        ),
        "a LoRA",
    ),
    "LoRA of PEFT": (
        zeros(
            "unet.down_blocks.1.attentions.0.to_k.lora_A.weight",
            "unet.down_blocks.1.attentions.0.to_k.lora_B.weight",
        ),
        "a LoRA",
    ),
    "LoRA of diffusers": (
        zeros("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight"),
        "a LoRA",
    ),
    "LoKr": (zeros("lycoris_down_blocks_0.lokr_w1"), "a LoRA"),
    "LoRA of a text encoder": (
        zeros("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"),
        "a LoRA",
    ),
    "IP-Adapter for SDXL": (
        {
            "image_proj": zeros("proj.weight"),
            "ip_adapter": zeros("1.to_k_ip.weight", "1.to_v_ip.weight", shape=(640, 2048)),
        },
        "an IP-Adapter for SDXL",
    ),
    "IP-Adapter for SD 1.5": (
        {
            "image_proj": zeros("proj.weight"),
            "ip_adapter": zeros("1.to_k_ip.weight", "1.to_v_ip.weight", shape=(320, 768)),
        },
        "an IP-Adapter for SD 1.5",
    ),
    "IP-Adapter for another model": (
        {"image_proj": zeros("proj.weight"), "ip_adapter": zeros("1.to_k_ip.weight", shape=(8, 99))},
        "an IP-Adapter for another base model",
    ),
    "flat IP-Adapter": (
        zeros("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight", shape=(640, 2048)),
        "an IP-Adapter for SDXL",
    ),
    "IP-Adapter without layers": ({"image_proj": zeros("proj.weight"), "ip_adapter": {}}, "an IP-Adapter"),
    "full checkpoint": (
        zeros(
            "model.diffusion_model.input_blocks.0.0.weight",
            "first_stage_model.decoder.conv_in.weight",
            "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
        ),
        "a full checkpoint",
    ),
    "ControlNet": (
        zeros("control_model.input_blocks.0.0.weight", "control_model.input_hint_block.0.weight"),
        "a ControlNet",
    ),
    "ControlNet of diffusers": (
        zeros("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"),
        "a ControlNet",
    ),
    "UNet of diffusers": (
        zeros("down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"),
        "a diffusion model without text encoders",
    ),
    "Flux": (zeros("double_blocks.0.img_attn.qkv.weight"), "a diffusion model without text encoders"),
    "CLIP-L": (zeros("text_model.encoder.layers.0.mlp.fc1.weight"), "a text encoder"),
    "OpenCLIP": (zeros("transformer.resblocks.0.mlp.c_fc.weight"), "a text encoder"),
    "T5": (zeros("encoder.block.0.layer.0.SelfAttention.k.weight", "shared.weight"), "a text encoder"),
    "VAE": (
        zeros("decoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quant_conv.weight"),
        "a VAE",
    ),
    "VAE of diffusers": (
        zeros(
            "decoder.conv_in.weight", "encoder.conv_in.weight", "encoder.down_blocks.0.resnets.0.conv1.weight"
        ),
        "a VAE",
    ),
    "embedding": ({"string_to_param": {"*": torch.zeros(2, 768)}}, "a textual inversion embedding"),
    "SDXL embedding": (zeros("clip_l", "clip_g"), "a textual inversion embedding"),
    "empty": ({}, "something else (it is empty)"),
    "unknown": (zeros("a", "b", "c", "d"), "something else (its keys begin with 'a', 'b', 'c')"),
    "keys that are not text": ({5: torch.zeros(1)}, "something else (its keys begin with '5')"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_another_kind_of_file_is_named(case: str) -> None:
    data, kind = WRONG_FILES[case]
    assert guess_kind(data).startswith(kind)
    message = message_of(data)
    assert f"This is not an IFAdapter: it seems to be {kind}" in message
    assert "spd_adapter.bin" in message
    assert "WuYW/IFAdapter" in message


@pytest.mark.parametrize("data", [[torch.zeros(1)], torch.zeros(1), None, 5, "text"])
def test_what_is_no_state_dict_at_all_is_named_by_its_type(data: Any) -> None:
    assert f"the file holds a {type(data).__name__}" in message_of(data)


def test_tensors_of_another_adapter_do_not_build() -> None:
    weights, other = read_checkpoint(release()), read_checkpoint(release(queries=5))
    with pytest.raises(RuntimeError):
        build_adapter(AdapterWeights(weights.config, other.tensors))
