"""Instance tokens in the text's sequence, in place of the semantic map.

GLIGEN (Li et al. 2023) gives grounding tokens to a gated attention over one sequence; where an instance
belongs is told by the box in its tokens alone. Here the sequence is that of the text: in each adapted layer,
the text's tokens and those of all instances share one softmax, and tanh(alpha) fades from the attention to
the text alone to the attention to both. The tokens, keys, values and gates are those of the adapter, with
the same number of weights; its masks and its fusion are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.layout import Layout
from ifadapter_core.modules.norm import rms_normalize
from ifadapter_diffusers.painter import Method, Painter
from ifadapter_diffusers.plain_attention import attend
from ifadapter_diffusers.sampling import sample_layouts

from ...models.slots import Slots, SlotUNet
from .slots import KeptSlots


class SequenceUNet(SlotUNet):
    """A UNet whose adapted layers attend to the text's and all instances' tokens in one sequence."""

    def __init__(self, unet: UNet2DConditionModel, adapter: IFAdapter) -> None:
        super().__init__(unet, adapter)
        self.kept = KeptSlots()
        processors = dict(unet.attn_processors)
        names = list(processors)
        for layer in adapter.config.layers:
            processors[names[layer.processor]] = _Processor(self, str(layer.processor))
        unet.set_attn_processor(processors)

    def current(self, rows: int, device: torch.device) -> Slots | None:
        """The instances of this pass, in training and in sampling; None if there are none."""
        if self.slots is not None:
            return self.slots
        if not self.instances.row.numel():
            return None
        return self.kept.of(self.instances, rows, self.adapter.config.settings.slots, device)

    def joint(self, key: str, q: Tensor, k: Tensor, v: Tensor, slots: Slots) -> Tensor:
        """Attention of the queries to text and instances: (B, N, C).

        q: (B, N, C). k, v: (B, T, C) of the text. slots: the instances.
        """
        layer: Any = self.adapter.layers[key]
        projected = self.adapter.keys_values(key, slots.tokens.to(q.dtype))
        instance_k, instance_v = (part.to(q.dtype).flatten(1, 2) for part in (projected.k, projected.v))

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (layer.heads, -1)).transpose(1, 2)  # B, heads, tokens, head_dim

        scale = math.sqrt(q.shape[-1] / layer.heads)
        normalized = rms_normalize(split(q))
        to_text = split(q) @ split(k / scale).transpose(2, 3)
        to_instances = normalized @ split(instance_k / scale).transpose(2, 3)
        hidden = ~slots.present.repeat_interleave(slots.tokens.shape[2], dim=1)
        to_instances = to_instances.masked_fill(hidden[:, None, None], -math.inf)
        weights = torch.cat([to_text, to_instances], dim=-1).softmax(dim=-1)
        values = torch.cat([split(v), split(instance_v)], dim=2)
        return (weights @ values).transpose(1, 2).flatten(2)


class _Processor:
    def __init__(self, adapted: SequenceUNet, key: str) -> None:
        self.adapted, self.key = adapted, key

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        if attention_mask is not None:
            raise ValueError("The adapted layers take no attention mask.")
        q = attn.to_q(hidden_states)
        k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        out = attend(q, k, v, attn.heads)
        slots = self.adapted.current(len(q), q.device)
        if slots is not None:
            layer: Any = self.adapted.adapter.layers[self.key]
            gate = layer.alpha.tanh().to(out.dtype)
            out = out + gate * (self.adapted.joint(self.key, q, k, v, slots) - out)
        return attn.to_out[1](attn.to_out[0](out))


def paint_sequence(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    adapted: Any = SequenceUNet(painter.base.unet, painter.adapter)
    return sample_layouts(
        adapted, painter.base, layouts, noise, painter.steps, painter.guidance, control=painter.control
    )


SEQUENCE = Method("sequence", "tokens in the text's sequence", paint_sequence)
