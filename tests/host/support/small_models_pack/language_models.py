"""Small random language models as the host's own objects: text encoders that write.

Needs a host that can generate text: 0.33, not 0.14.
"""

from __future__ import annotations

from typing import Any, ClassVar
from unittest.mock import patch

import comfy.sd
import torch

import small_models

CONFIG = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
HEADS = 2  # of the picture encoder
VISION = {"hidden_size": 32, "intermediate_size": 64, "depth": 2, "deepstack_visual_indexes": [0]}


def qwen3() -> comfy.sd.CLIP:
    """Z-Image's Qwen3 4B: writes text."""
    from comfy.text_encoders import z_image

    return random_clip("qwen3_4b", z_image.te(), z_image.ZImageTokenizer, CONFIG)


def qwen3_vl() -> comfy.sd.CLIP:
    """Qwen3-VL 4B: writes text about pictures."""
    from comfy.text_encoders import qwen3vl

    name = "qwen3vl_4b"
    with (
        patch.dict(qwen3vl.QWEN3VL_VISION, {name: VISION}),
        patch.dict(qwen3vl.QWEN3VL_VISION_COMMON, num_heads=HEADS),
    ):
        return random_clip(name, qwen3vl.te(model_type=name), qwen3vl.tokenizer(model_type=name), CONFIG)


def random_clip(
    name: str, text_encoder: type, tokenizer_class: type, config: dict[str, int]
) -> comfy.sd.CLIP:
    """A CLIP with random weights and the tokenizer's own files. config: sizes of the model ``name``."""

    class Target:
        clip = text_encoder
        tokenizer = tokenizer_class
        params: ClassVar[dict[str, Any]] = {}

    options = {f"{name}_model_config": config, "dtype": torch.float32}
    clip = comfy.sd.CLIP(Target, parameters=1, model_options=options)
    small_models.randomize(clip.cond_stage_model, seed=0)
    return clip
