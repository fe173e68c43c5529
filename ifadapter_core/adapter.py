"""The IFAdapter: composes the parts. Holds weights, no state of a run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .attention import InstanceCrossAttention, InstanceProjection, KeysValues
from .config import IFAdapterConfig
from .grounding import PositionNet
from .resampler import Resampler
from .tokens import InstanceTokens, PhraseEmbeddings, join_tokens


class InstanceLayers(nn.ModuleDict):
    """The part of the adapter that sampling needs: the adapted layers by processor index, without their projections."""

    def __init__(
        self,
        config: IFAdapterConfig,
        operations: Any = nn,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        settings = config.settings
        super().__init__(
            {
                str(layer.processor): InstanceCrossAttention(
                    layer, settings.slots, settings.fusion_order, operations, device, dtype
                )
                for layer in config.layers
            }
        )


class IFAdapter(nn.Module):
    """Instance feature control for a frozen text-to-image UNet (arXiv 2409.08240).

    Arguments: config; operations, a namespace with Linear, LayerNorm and Conv2d (``torch.nn``, or a host's own); device
    and dtype of the weights.
    """

    def __init__(
        self,
        config: IFAdapterConfig,
        operations: Any = nn,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.resampler = Resampler(
            config.resampler, config.settings.cumulative_mask, operations, device, dtype
        )
        self.position_net = PositionNet(config.position, operations, device, dtype)
        self.projections = nn.ModuleDict(
            {
                str(layer.processor): InstanceProjection(layer, operations, device, dtype)
                for layer in config.layers
            }
        )
        self.layers = InstanceLayers(config, operations, device, dtype)

    def forward(self, phrases: PhraseEmbeddings, boxes: Tensor) -> Tensor:
        """Phrases and boxes (N, 4) -> instance tokens (N, k*queries + 1, D), the EoT token last."""
        appearance_tokens = self.resampler(phrases.phrase_embeds, phrases.attention_mask)
        grounding_embedding = self.position_net(boxes, phrases.phrase_embeds.dtype)
        return join_tokens(appearance_tokens, phrases.eot_embeds, grounding_embedding)

    def encode_instances(
        self, phrase_embeds: Tensor, attention_mask: Tensor, eot_embeds: Tensor, boxes: Tensor
    ) -> InstanceTokens:
        """Instance tokens of N local descriptions, and those of the null condition.

        phrase_embeds (N, k, T, text_width), attention_mask (N, T), eot_embeds (N, token_width): see PhraseEmbeddings.
        boxes (N, 4): x0 y0 x1 y1 in 0..1 of the picture. The tokens come in the dtype and on the device of phrase_embeds.

        Raises ValueError when the shapes are not those the adapter reads.
        """
        count, depths, text_width = (
            phrase_embeds.shape[0],
            len(self.config.settings.text_depths),
            self.config.resampler.text_width,
        )
        expected = {
            "phrase_embeds": (phrase_embeds, (count, depths, attention_mask.shape[-1], text_width)),
            "attention_mask": (attention_mask, (count, attention_mask.shape[-1])),
            "eot_embeds": (eot_embeds, (count, self.config.resampler.token_width)),
            "boxes": (boxes, (count, 4)),
        }
        for name, (given, shape) in expected.items():
            if tuple(given.shape) != shape:
                raise ValueError(f"{name} has shape {tuple(given.shape)}; this adapter expects {shape}.")
        phrases = PhraseEmbeddings(phrase_embeds, attention_mask, eot_embeds)
        null = PhraseEmbeddings(
            phrase_embeds[:1, :, :1], attention_mask[:1, :1], eot_embeds[:1]
        ).null  # only the boxes differ
        placed = boxes.to(device=phrase_embeds.device, dtype=torch.float32)
        return InstanceTokens(
            cond=self(phrases, placed),
            uncond=self(null, placed),
            boxes=boxes.detach().to(device="cpu", dtype=torch.float32),
            strengths=(1.0,) * count,
        )

    def keys_values(self, processor: str, tokens: Tensor) -> KeysValues:
        """Instance tokens (..., N, M, token_width) -> what the layer of this processor reads of them, (..., N, M, C); once for each layout.

        The weight of the layer's query norm goes to the keys: (q * weight) @ k is q @ (k * weight), and there are far fewer keys.
        """
        projection: Any = self.projections[processor]
        layer: Any = self.layers[processor]
        both = projection(tokens)
        return KeysValues(layer.q_norm.scale(both.k), both.v)

    def no_instances(self) -> InstanceTokens:
        """The tokens of an empty layout, float32 on the CPU."""
        none = torch.zeros(0, self.config.tokens_per_instance, self.config.resampler.token_width)
        return InstanceTokens(cond=none, uncond=none, boxes=torch.zeros(0, 4), strengths=())
