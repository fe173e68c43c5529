"""Plain attention for training on a CPU, where the backward pass of fused attention is slow."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor


def use_plain_attention_on_cpu(unet: UNet2DConditionModel) -> None:
    """Compute the attention as plain matrix products if the UNet is on the CPU; else a no-op."""
    if unet.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())
