"""Error messages for incomplete adapters and other kinds of files."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from checkpoint_data import Data, message_of, release
from ifadapter_core.checkpoint import (
    AdapterWeights,
    build_adapter,
    guess_kind,
    metadata_for,
    read_checkpoint,
)


def test_one_error_lists_missing_unexpected_and_misshapen_keys() -> None:
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
    assert re.search(r"1 not a floating-point tensor: adapter_modules\.49\.conv\.bias \(int64\)", message)
    assert "2 of the wrong shape" in message
    assert "pos_net.linears_position.4.bias (5,), expected (24,)" in message
    assert "adapter_modules.49.conv.weight (1, 32), expected (1, 32, 1, 1)" in message
    assert "spd_adapter.bin" in message  # the expected file


def test_one_error_lists_all_problems_of_the_own_format() -> None:
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


def test_long_lists_of_keys_are_abbreviated() -> None:
    data = release()
    for i in range(20):
        data["pos_net"][f"extra_{i:02}"] = torch.zeros(1)
    del data["pos_net"]["linears_position.4.bias"]
    message = message_of(data)
    assert "20 unexpected: pos_net.extra_00" in message
    assert "and 12 more" in message
    assert "extra_19" not in message


@pytest.mark.parametrize("part", ["text_proj_model", "adapter_modules", "pos_net"])
@pytest.mark.parametrize("content", ["gone", {}, None, [], torch.zeros(2)])
def test_error_names_a_missing_part(part: str, content: Any) -> None:
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
def test_error_names_an_unusable_tensor_that_defines_sizes(key: str, shape: tuple[int, ...] | None) -> None:
    data = release()
    part, name = key.split(".", 1)
    if shape is None:
        del data[part][name]
    else:
        data[part][name] = torch.zeros(shape)
    message = message_of(data)
    assert "does not fit together" in message
    assert key in message or "of the wrong shape" in message  # neighbors may be the ones that no longer fit


@pytest.mark.parametrize(
    "name",
    [
        "resampler.proj_in.weight",
        "position_net.mlp.0.weight",
        "projections.49.to_k_ap.weight",
        "layers.121.q_norm.weight",
    ],
)
def test_error_names_a_missing_tensor_that_defines_sizes_in_own_format(name: str) -> None:
    weights = read_checkpoint(release())
    tensors = {key: value for key, value in weights.tensors.items() if key != name}
    assert name in message_of(tensors, metadata_for(weights.config))


def test_error_names_a_gap_in_the_resampler_layers() -> None:
    data = release()
    text = data["text_proj_model"]
    for key in [key for key in text if key.startswith("layers.3.")]:
        text[key.replace("layers.3.", "layers.900000000.")] = text.pop(key)
    message = message_of(data)
    assert "missing: text_proj_model.layers.3.0." in message
    assert "unexpected: text_proj_model.layers.900000000.0." in message


def test_error_names_a_layer_with_most_keys_missing() -> None:
    data = release()
    data["adapter_modules"] = {
        key: value
        for key, value in data["adapter_modules"].items()
        if not key.startswith("49.") or key == "49.alpha"
    }
    message = message_of(data)
    assert "adapter_modules.49.to_k_ap.weight" in message
    assert "adapter_modules.121" not in message


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
def test_error_names_other_kinds_of_files(case: str) -> None:
    data, kind = WRONG_FILES[case]
    assert guess_kind(data).startswith(kind)
    message = message_of(data)
    assert f"This is not an IFAdapter: it seems to be {kind}" in message
    assert "spd_adapter.bin" in message
    assert "WuYW/IFAdapter" in message


@pytest.mark.parametrize("data", [[torch.zeros(1)], torch.zeros(1), None, 5, "text"])
def test_error_names_the_type_of_other_objects(data: Any) -> None:
    assert f"the file holds a {type(data).__name__}" in message_of(data)


def test_tensors_of_another_adapter_raise() -> None:
    weights, other = read_checkpoint(release()), read_checkpoint(release(queries=5))
    with pytest.raises(RuntimeError):
        build_adapter(AdapterWeights(weights.config, other.tensors))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
@pytest.mark.parametrize("name", ["proj_in.weight", "proj_in.bias"])
def test_weights_of_another_type_are_named_with_it(dtype: torch.dtype, name: str) -> None:
    data = release()
    data["text_proj_model"][name] = data["text_proj_model"][name].to(dtype)
    kind = str(dtype).removeprefix("torch.")
    assert f"1 not a floating-point tensor: text_proj_model.{name} ({kind})" in message_of(data)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused() -> None:
    data = release()
    rows = [torch.zeros(2, 24), torch.zeros(3, 24)]
    for name in ("proj_in.weight", "proj_in.bias"):
        data["text_proj_model"][name] = torch.nested.nested_tensor(rows)
    assert "text_proj_model.proj_in.weight" in message_of(data)
