"""Values that travel between the text encoder, the adapter and the adapted layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PhraseEmbeddings:
    """Text features of N local descriptions of T tokens, at k depths of the text encoders.

    phrase_embeds: (N, k, T, D) hidden states, encoders concatenated on the last axis, deepest layer
        first.
    attention_mask: (N, T) 1 from BOS up to and including the first EOT, else 0.
    eot_embeds: (N, D) hidden state of the first depth at the EOT position.
    """

    phrase_embeds: Tensor
    attention_mask: Tensor
    eot_embeds: Tensor

    @property
    def null(self) -> PhraseEmbeddings:
        """The null condition of classifier-free guidance: all zeros."""
        return PhraseEmbeddings(
            *map(torch.zeros_like, (self.phrase_embeds, self.attention_mask, self.eot_embeds))
        )


@dataclass(frozen=True, eq=False)
class InstanceTokens:
    """Tokens of N instances, which the adapted layers attend to.

    cond: (N, M, D) appearance tokens of all depths, then the EoT token, each plus the grounding
        embedding.
    uncond: (N, M, D) the same for the null condition with the same boxes.
    boxes: (N, 4) float32 on the CPU, x0 y0 x1 y1 as fractions of the picture.
    strengths: N factors, one per instance.
    canvas: (width, height) of the picture in pixels; used by previews only.
    cell_px: picture pixels per cell of the finest adapted layer; used by previews only.

    Raises ValueError for parts that do not fit each other.
    """

    cond: Tensor
    uncond: Tensor
    boxes: Tensor
    strengths: tuple[float, ...]
    canvas: tuple[int, int] = (1024, 1024)
    cell_px: int = 32

    def __post_init__(self) -> None:
        count = len(self.cond)
        if self.cond.ndim != 3 or self.uncond.shape != self.cond.shape:
            raise ValueError(
                f"cond has shape {tuple(self.cond.shape)} and uncond {tuple(self.uncond.shape)}; "
                "expected (instances, tokens, channels), the same for both."
            )
        if tuple(self.boxes.shape) != (count, 4) or len(self.strengths) != count:
            raise ValueError(
                f"boxes has shape {tuple(self.boxes.shape)} and strengths {len(self.strengths)} factors for "
                f"the tokens of {count} instances; expected ({count}, 4) and {count}."
            )

    def __len__(self) -> int:
        return self.cond.shape[0]

    def select(self, appearance: bool, eot: bool) -> InstanceTokens:
        """Keep only some kinds of tokens (paper's ablation). Raises ValueError if none is kept."""
        if not appearance and not eot:
            raise ValueError(
                "Both the appearance tokens and the EoT token are switched off: nothing is left. "
                "Switch one of them on."
            )
        selected = slice(None if appearance else -1, None if eot else -1)
        return replace(self, cond=self.cond[:, selected], uncond=self.uncond[:, selected])


def join_tokens(appearance_tokens: Tensor, eot_embeds: Tensor, grounding_embedding: Tensor) -> Tensor:
    """(N, k*Q, D), (N, D), (N, 1, D) -> instance tokens (N, k*Q + 1, D).

    The grounding is added to every token, EoT included. The first two arguments may have a batch
    of 1.
    """
    return torch.cat([appearance_tokens, eot_embeds.unsqueeze(1)], dim=1) + grounding_embedding
