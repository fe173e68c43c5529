"""Perceiver-like resampler: appearance queries attend to words (paper 3.3.1, eq. 3)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ResamplerConfig
from .norm import HeadRMSNorm, rms_normalize


def word_masks(attention_mask: Tensor, layers: int, cumulative: bool) -> list[Tensor]:
    """Visible tokens for each resampler layer, first layer first: ``layers`` boolean masks (N, T).

    attention_mask: (N, T) 1 from BOS up to and including the first EOT, else 0; all 0 for the null
        condition.
    cumulative: repeat the release's mask quirk. False: every layer hides BOS and EOT only, as in
        the paper.

    The quirk: the release edits one mask in place. Each later layer computes the EOT position from
    the sum of the already shortened mask, and so hides one more word. The released weights were
    trained with it.
    """
    mask = attention_mask.bool().clone()
    masks: list[Tensor] = []
    for _ in range(layers):
        if cumulative or not masks:
            last = mask.sum(dim=-1, keepdim=True) - 1
            # An empty mask gives -1, which wraps to the last position; it is already hidden.
            mask = mask.scatter(-1, last % mask.shape[-1], False)
            mask[:, 0] = False
        masks.append(mask.clone())
    return masks


class PerceiverAttention(nn.Module):
    """Attention of the latents to the words and to themselves."""

    def __init__(
        self, config: ResamplerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        inner = config.heads * config.head_dim
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.heads = config.heads
        self.norm1 = operations.LayerNorm(config.width, **factory)
        self.norm2 = operations.LayerNorm(config.width, **factory)
        self.to_q = operations.Linear(config.width, inner, bias=False, **factory)
        self.to_kv = operations.Linear(config.width, 2 * inner, bias=False, **factory)
        self.to_out = operations.Linear(inner, config.width, bias=False, **factory)
        self.q_norm = HeadRMSNorm(config.head_dim, **factory)
        self.k_norm = HeadRMSNorm(config.head_dim, **factory)

    def forward(self, words: Tensor, latents: Tensor, mask: Tensor) -> Tensor:
        """words (R, T, C), latents (R, Q, C), mask (R, T) with True = visible -> (R, Q, C)."""
        words, latents = self.norm1(words), self.norm2(latents)
        q = self.q_norm(self.to_q(latents))
        k, v = self.to_kv(torch.cat([words, latents], dim=1)).chunk(2, dim=-1)
        visible = F.pad(mask, (0, latents.shape[1]), value=True)  # latents are always visible
        out = F.scaled_dot_product_attention(
            self._split(q), self._split(self.k_norm(k)), self._split(v), attn_mask=visible[:, None, None, :]
        )
        return self.to_out(out.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # R, heads, tokens, head_dim


class GatedMLP(nn.Module):
    """down(rms_norm(gelu(gate(x)) * up(x))). No norm comes before it, as in the release."""

    def __init__(
        self, config: ResamplerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"bias": False, "device": device, "dtype": dtype}
        self.gate_proj = operations.Linear(config.width, config.mlp_width, **factory)
        self.up_proj = operations.Linear(config.width, config.mlp_width, **factory)
        self.down_proj = operations.Linear(config.mlp_width, config.width, **factory)

    def forward(self, x: Tensor) -> Tensor:
        """x (R, Q, C) -> (R, Q, C)."""
        return self.down_proj(rms_normalize(F.gelu(self.gate_proj(x), approximate="tanh") * self.up_proj(x)))


class ResamplerLayer(nn.Module):
    """Attention and gated MLP, each with a residual connection."""

    def __init__(
        self, config: ResamplerConfig, operations: Any, device: torch.device | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        self.attention = PerceiverAttention(config, operations, device, dtype)
        self.mlp = GatedMLP(config, operations, device, dtype)

    def forward(self, words: Tensor, latents: Tensor, mask: Tensor) -> Tensor:
        """Same shapes as PerceiverAttention."""
        latents = latents + self.attention(words, latents, mask)
        return latents + self.mlp(latents)


class Resampler(nn.Module):
    """Words at several text-encoder depths -> appearance tokens. All depths share the weights."""

    def __init__(
        self,
        config: ResamplerConfig,
        cumulative_mask: bool,
        operations: Any,
        device: torch.device | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.cumulative_mask = cumulative_mask
        self.appearance_queries = nn.Parameter(
            torch.randn(1, config.queries, config.width, **factory) / config.width**0.5
        )
        self.proj_in = operations.Linear(config.text_width, config.width, **factory)
        self.layers = nn.ModuleList(
            ResamplerLayer(config, operations, device, dtype) for _ in range(config.layers)
        )
        self.attention_norm = operations.LayerNorm(config.width, **factory)
        self.proj_out = operations.Linear(config.width, config.token_width, **factory)
        self.norm_out = operations.LayerNorm(config.token_width, **factory)

    def forward(self, phrase_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Appearance tokens (N, k * queries, token_width), grouped by depth in the given order.

        phrase_embeds (N, k, T, text_width), attention_mask (N, T): see PhraseEmbeddings.
        """
        count, depths = phrase_embeds.shape[:2]
        words = self.proj_in(phrase_embeds.flatten(0, 1))  # N*k, T, C
        latents = self.appearance_queries.to(words).expand(count * depths, -1, -1)
        masks = word_masks(attention_mask, len(self.layers), self.cumulative_mask)
        for layer, mask in zip(self.layers, masks, strict=True):
            latents = layer(words, latents, mask.repeat_interleave(depths, dim=0))
        tokens = self.norm_out(self.proj_out(self.attention_norm(latents)))
        return tokens.reshape(count, -1, tokens.shape[-1])
