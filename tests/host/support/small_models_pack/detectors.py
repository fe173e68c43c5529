"""Small random detectors as the host's own objects.

Needs a host with these detectors: 0.33, not 0.14.
"""

from __future__ import annotations

from typing import Any

import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import torch

import small_models

from .language_models import random_clip

KEPT = ("reg_scale", "decoder.up")  # settings that the host stores as parameters
WIDTH = 64


def rt_detr() -> comfy.model_patcher.ModelPatcher:
    """RT-DETR: boxes with labels."""
    sizes = {"enc_h": 32, "dec_h": 32, "enc_ff": 64, "dec_ff": 64, "num_queries": 20}
    return _model(comfy.supported_models.RT_DETR_v4, {"image_model": "RT_DETR_v4", **sizes})


def sam3() -> tuple[comfy.model_patcher.ModelPatcher, comfy.sd.CLIP]:
    """SAM 3 with one layer of each kind, and its text encoder: boxes without labels."""
    from comfy.text_encoders import sam3_clip

    sizes = {"d_model": 32, "embed_dim": WIDTH, "num_queries": 10, "depth": 1}
    model = _model(comfy.supported_models.SAM3, {"image_model": "SAM3", **sizes})
    detector = model.model.diffusion_model.detector
    for part in (detector.transformer.encoder, detector.transformer.decoder):
        part.layers = part.layers[:1]
    detector.geometry_encoder.encode = detector.geometry_encoder.encode[:1]
    config = {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "projection_dim": WIDTH,
    }
    wrapper, tokenizer = sam3_clip.SAM3ClipModelWrapper, sam3_clip.SAM3TokenizerWrapper
    return model, random_clip("sam3_clip", wrapper, tokenizer, config)


def _model(config_class: type, sizes: dict[str, Any]) -> comfy.model_patcher.ModelPatcher:
    config = config_class({**sizes, "dtype": torch.float32})
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu").eval()
    kept = {name: value.clone() for name, value in model.named_parameters() if name.endswith(KEPT)}
    small_models.randomize(model.diffusion_model, seed=0)
    with torch.no_grad():
        for name, value in kept.items():
            model.get_parameter(name).copy_(value)
    return comfy.model_patcher.ModelPatcher(model, small_models.CPU, small_models.CPU)
