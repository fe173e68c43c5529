"""Attention by device: fused on a GPU, plain on a CPU, where the backward pass of fused attention is slow.

The device is that of the tensors of each call: a model may move after its processors are set.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor

from ifadapter_core.modules.attention import attend as plain_attend


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention of an adapted layer, see ``Attend``: fused on a GPU, the core's on a CPU."""
    if q.device.type == "cpu":
        return plain_attend(q, k, v, heads)
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class PlainOnCpuProcessor(AttnProcessor2_0):
    """diffusers' fused attention, except on a CPU: there its plain attention."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = AttnProcessor()

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        process = self.plain if hidden_states.device.type == "cpu" else super().__call__
        return process(attn, hidden_states, encoder_hidden_states, attention_mask, temb, *args, **kwargs)


def use_plain_attention_on_cpu(unet: UNet2DConditionModel) -> None:
    """Replace diffusers' default processors, so that each call on a CPU uses plain attention.

    Other processors stay, such as IP-Adapter's, xFormers' or the user's own.
    """
    unet.set_attn_processor(
        {
            name: PlainOnCpuProcessor() if type(processor) is AttnProcessor2_0 else processor
            for name, processor in unet.attn_processors.items()
        }
    )
