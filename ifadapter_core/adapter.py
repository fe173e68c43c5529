"""The IFAdapter module: resampler, position net and adapted layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .config import IFAdapterConfig
from .modules.attention import InstanceCrossAttention, InstanceProjection, KeysValues
from .modules.grounding import PositionNet
from .modules.resampler import Resampler
from .tokens import InstanceTokens, PhraseEmbeddings, join_tokens


class InstanceLayers(nn.ModuleDict):
    """Adapted layers by processor index, without their projections: all that sampling needs."""

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

    config: shapes and settings.
    operations: namespace with Linear, LayerNorm and Conv2d: ``torch.nn``, or the host's own.
    device, dtype: of the weights.
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
        """Phrases and boxes (N, 4) -> instance tokens (N, k*queries + 1, D), EoT token last."""
        appearance_tokens = self.resampler(phrases.phrase_embeds, phrases.attention_mask)
        grounding_embedding = self.position_net(boxes, phrases.phrase_embeds.dtype)
        return join_tokens(appearance_tokens, phrases.eot_embeds, grounding_embedding)

    def encode_instances(
        self, phrase_embeds: Tensor, attention_mask: Tensor, eot_embeds: Tensor, boxes: Tensor
    ) -> InstanceTokens:
        """Instance tokens of N local descriptions, with and without their words (null condition).

        phrase_embeds: (N, k, T, text_width), see PhraseEmbeddings. Gives dtype and device of the
            tokens.
        attention_mask: (N, T), see PhraseEmbeddings.
        eot_embeds: (N, token_width), see PhraseEmbeddings.
        boxes: (N, 4) x0 y0 x1 y1 as fractions of the picture.

        Raises ValueError for shapes that do not fit the adapter.
        """
        # Check shapes.
        count, tokens = phrase_embeds.shape[0], attention_mask.shape[-1]
        depths = len(self.config.settings.text_depths)
        expected = {
            "phrase_embeds": (phrase_embeds, (count, depths, tokens, self.config.resampler.text_width)),
            "attention_mask": (attention_mask, (count, tokens)),
            "eot_embeds": (eot_embeds, (count, self.config.resampler.token_width)),
            "boxes": (boxes, (count, 4)),
        }
        for name, (given, shape) in expected.items():
            if tuple(given.shape) != shape:
                raise ValueError(f"{name} has shape {tuple(given.shape)}; this adapter expects {shape}.")

        # Encode with words and without. Null conditions differ by the box only, so one null phrase of one
        # token serves all instances.
        phrases = PhraseEmbeddings(phrase_embeds, attention_mask, eot_embeds)
        null = PhraseEmbeddings(phrase_embeds[:1, :, :1], attention_mask[:1, :1], eot_embeds[:1]).null
        device_boxes = boxes.to(device=phrase_embeds.device, dtype=torch.float32)
        return InstanceTokens(
            cond=self(phrases, device_boxes),
            uncond=self(null, device_boxes),
            boxes=boxes.detach().to(device="cpu", dtype=torch.float32),
            strengths=(1.0,) * count,
            cell_px=self.config.family.cell_px,
        )

    def keys_values(self, processor: str, tokens: Tensor) -> KeysValues:
        """Project instance tokens to the keys and values of one layer. Needed once per layout.

        processor: index of the layer's attention processor, as text.
        tokens: (..., N, M, token_width).

        Returns keys and values (..., N, M, C).
        """
        projection: Any = self.projections[processor]
        layer: Any = self.layers[processor]
        projected = projection(tokens)
        # (q * weight) @ k == q @ (k * weight), and keys are far fewer than queries: scale the keys.
        return KeysValues(layer.q_norm.scale(projected.k), projected.v)

    def no_instances(self) -> InstanceTokens:
        """Tokens of an empty layout, float32 on the CPU."""
        empty = torch.zeros(0, self.config.tokens_per_instance, self.config.resampler.token_width)
        return InstanceTokens(
            cond=empty,
            uncond=empty,
            boxes=torch.zeros(0, 4),
            strengths=(),
            cell_px=self.config.family.cell_px,
        )
