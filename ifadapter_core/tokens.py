"""The values that travel between text encoder, adapter and layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class PhraseEmbeddings:
    """What the text encoders say of N local descriptions of T tokens, at k depths.

    phrase_embeds (N, k, T, D): hidden states of the encoders, concatenated on the last axis, deepest layer first.
    attention_mask (N, T): 1 from BOS up to and including the first EOT, else 0.
    eot_embeds (N, D): the first depth's hidden state at the EOT.
    """

    phrase_embeds: Tensor
    attention_mask: Tensor
    eot_embeds: Tensor

    @property
    def null(self) -> PhraseEmbeddings:
        """The null condition: no words at all (classifier-free guidance)."""
        return PhraseEmbeddings(
            *map(torch.zeros_like, (self.phrase_embeds, self.attention_mask, self.eot_embeds))
        )


@dataclass(frozen=True)
class InstanceTokens:
    """What the adapted layers attend to: the tokens of N instances.

    cond, uncond (N, M, D): appearance tokens of all depths, then the EoT token, each with the grounding embedding
    added; uncond is the null condition with the same boxes.
    boxes (N, 4): x0 y0 x1 y1 in 0..1 of the picture, float32 on the CPU. strengths: one factor for each instance.
    canvas: width and height of the picture in pixels, for previews; the arithmetic does not depend on it.
    """

    cond: Tensor
    uncond: Tensor
    boxes: Tensor
    strengths: tuple[float, ...]
    canvas: tuple[int, int] = (1024, 1024)

    def __len__(self) -> int:
        return self.cond.shape[0]

    def select(self, appearance: bool, eot: bool) -> InstanceTokens:
        """Only the appearance tokens, or only the EoT token (the paper's ablation). Raises ValueError for neither."""
        if not appearance and not eot:
            raise ValueError(
                "Both the appearance tokens and the EoT token are switched off: nothing is left. Switch one of them on."
            )
        kept = slice(None if appearance else -1, None if eot else -1)
        return replace(self, cond=self.cond[:, kept], uncond=self.uncond[:, kept])


def join_tokens(appearance_tokens: Tensor, eot_embeds: Tensor, grounding_embedding: Tensor) -> Tensor:
    """(N, k*Q, D), (N, D), (N, 1, D) -> instance tokens (N, k*Q + 1, D). The grounding is added to all, EoT included.

    One set of tokens may serve all N groundings.
    """
    return torch.cat([appearance_tokens, eot_embeds.unsqueeze(1)], dim=1) + grounding_embedding
