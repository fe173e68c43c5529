"""Attention of models that are trained on a CPU, where the backward pass of torch's fused attention takes most of a step."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor


def attend_plainly(unet: UNet2DConditionModel) -> None:
    """Let a UNet that is trained on a CPU compute its attention as plain products."""
    if unet.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())
