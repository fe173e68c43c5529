"""The demo's models with the host's own nodes: sampling, tiles, LoRAs, copies."""

from __future__ import annotations

import inspect
import json
import logging
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.sd
import pytest
import torch
from torch import Tensor

import nodes
import oracle
from demo_case import SCHEDULE, SIDE_PX, Demo, denoised, encode_text


def sample(
    model: Any, prompts: tuple[list, list], latent: dict[str, Any], denoise: float = 1.0, steps: int = 4
) -> dict[str, Any]:
    return nodes.KSampler().sample(model, 3, steps, 2.0, "euler", "simple", *prompts, latent, denoise)[0]


def assert_is_a_picture(picture: Tensor) -> None:
    assert picture.shape == (1, SIDE_PX, SIDE_PX, 3)
    assert picture.isfinite().all()
    assert 0 <= picture.min() < picture.max() <= 1


def test_picture_from_an_empty_latent(demo, adapted, prompts):
    """The host's empty latent has 4 channels, the demo's latents have 3."""
    pictures = []
    for model in (demo.model, adapted):
        latent = sample(model, prompts, nodes.EmptyLatentImage().generate(SIDE_PX, SIDE_PX)[0])
        assert latent["samples"].shape == (1, 3, SIDE_PX // 8, SIDE_PX // 8)
        pictures.append(nodes.VAEDecode().decode(demo.vae, latent)[0])
        assert_is_a_picture(pictures[-1])
    assert oracle.max_difference(*pictures) > 0.01


def test_picture_from_a_picture(demo, adapted, prompts, request_tensors):
    given = request_tensors["picture"].movedim(1, -1)
    latent = sample(adapted, prompts, nodes.VAEEncode().encode(demo.vae, given)[0], denoise=0.5)
    assert_is_a_picture(nodes.VAEDecode().decode(demo.vae, latent)[0])


def test_tiled_decoding_and_encoding(demo, request_tensors):
    """Tiling depends on the number of latent channels."""
    picture = request_tensors["picture"].movedim(1, -1)
    with torch.inference_mode():  # as in a run of the host
        latent = nodes.VAEEncodeTiled().encode(demo.vae, picture, 64, 16)[0]
        assert latent["samples"].shape == (1, 3, SIDE_PX // 8, SIDE_PX // 8)
        assert_is_a_picture(nodes.VAEDecodeTiled().decode(demo.vae, latent, 64, 16)[0])


def test_computes_in_float32_on_the_cpu(demo):
    assert demo.model.model.get_dtype_inference() == torch.float32
    assert demo.vae.vae_dtype == torch.float32


def test_too_long_description(node, demo, caplog):
    """The end token is that of the demo's vocabulary."""
    words = " ".join(["red", "blue", "green"] * 25)
    layout = json.dumps({"boxes": [{"x": 0, "y": 0, "w": 1, "h": 1, "caption": f"{words} yellow star"}]})
    layout = node("IFAdapterLayout", layout=layout, width=SIDE_PX, height=SIDE_PX)[0]
    with caplog.at_level(logging.WARNING):
        node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout)
    assert [
        record.getMessage().rpartition(": ")[2]
        for record in caplog.records
        if "IFAdapter" in record.getMessage()
    ] == ["yellow star"]


def test_ownership_preview_has_cells_of_8_pixels(node, demo):
    box = {"x": 0, "y": 0, "w": 9 / SIDE_PX, "h": 1, "caption": "a red star"}  # covers 2 of 16 columns
    layout = node("IFAdapterLayout", layout=json.dumps({"boxes": [box]}), width=SIDE_PX, height=SIDE_PX)[0]
    tokens = node("IFAdapterEncode", ifadapter=demo.ifadapter, clip=demo.clip, layout=layout)[0]
    assert tokens.cell_px == 8
    row = node("IFAdapterSemanticMap", tokens=tokens)[1][0, 100]
    inside, outside = row[10:16], row[16:]  # pixels 0..9 also have the outline of the box
    assert torch.equal(inside, inside[:1].expand_as(inside))
    assert torch.equal(outside, outside[:1].expand_as(outside))
    assert not torch.equal(inside[0], outside[0])


def test_wrong_model_error_names_the_demo(node, demo, model, make_tokens):
    semantic_map = node("IFAdapterSemanticMap", tokens=make_tokens([(0.0, 0.0, 1.0, 1.0)]))[0]
    with pytest.raises(ValueError, match="The adapter was made for the demo's small model"):
        node("IFAdapterApply", model=model, ifadapter=demo.ifadapter, semantic_map=semantic_map, **SCHEDULE)


def test_loras(demo, prompts, request_tensors):
    """With the layer names of diffusers, and with those of the host."""
    generator = torch.Generator().manual_seed(4)
    layers = {
        "lora_unet_up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_q": 96,
        "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_v": 128,
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": 96,
    }
    lora = {}
    for layer, width in layers.items():
        lora[f"{layer}.lora_up.weight"] = torch.randn(width, 4, generator=generator)
        lora[f"{layer}.lora_down.weight"] = torch.randn(4, width, generator=generator)
    before = denoised(demo.model, prompts, request_tensors["latents"])["cond"]
    model, clip = comfy.sd.load_lora_for_models(demo.model, demo.clip, lora, 1.0, 1.0)
    assert (len(model.patches), len(clip.patcher.patches)) == (2, 1)
    assert oracle.max_difference(denoised(model, prompts, request_tensors["latents"])["cond"], before) > 0.01
    assert (
        oracle.max_difference(
            encode_text(Demo(model, clip, None, None), "a red star")[0][0],
            encode_text(demo, "a red star")[0][0],
        )
        > 0.01
    )
    assert torch.equal(denoised(demo.model, prompts, request_tensors["latents"])["cond"], before)


def test_host_can_reload_the_models(demo):
    """The host loads them again for a copy that shares no weights."""
    if "force_deepcopy" not in inspect.signature(demo.model.clone).parameters:
        pytest.skip("this host makes no such copies")
    for patcher in (demo.model, demo.clip.patcher, demo.vae.patcher):
        copied, given = patcher.clone(force_deepcopy=True).model.state_dict(), patcher.model.state_dict()
        assert list(copied) == list(given)
        assert all(torch.equal(copied[name], tensor) for name, tensor in given.items())
        assert all(
            copied[name].data_ptr() != tensor.data_ptr() for name, tensor in given.items() if tensor.numel()
        )
