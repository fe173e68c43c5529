"""Attention of models that are trained on a CPU, where the backward pass of torch's fused attention takes most of a step."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from ifadapter_core.attention import attend


def attend_plainly(unet: UNet2DConditionModel) -> None:
    """Let a UNet that is trained on a CPU compute its attention as plain products."""
    if unet.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())


def trained_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """``attend``, as plain products where a CPU wants gradients."""
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return attend(q, k, v, heads, mask)
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    weights = (scores if mask is None else scores + mask[:, None]).softmax(dim=-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
