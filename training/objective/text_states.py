"""What the text encoders give for the texts of a batch, to be computed once and used again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel, CaptionStates


@dataclass(frozen=True, eq=False)
class TextStates:
    """The texts of B layouts, encoded.

    captions: of the layouts, B rows.
    empty: of the empty text, 1 row.
    phrases: of all local descriptions, layout by layout; None without any.
    """

    captions: CaptionStates
    empty: CaptionStates
    phrases: PhraseEmbeddings | None

    def captions_without(self, dropped: Sequence[bool], device: torch.device) -> CaptionStates:
        """The captions of a batch on a device, those that are dropped as the empty text."""
        drop = torch.tensor(dropped, device=device)
        states = _chosen(drop, self.empty.states.to(device), self.captions.states.to(device))
        if self.captions.pooled is None or self.empty.pooled is None:
            return CaptionStates(states)
        pooled = _chosen(drop, self.empty.pooled.to(device), self.captions.pooled.to(device))
        return CaptionStates(states, pooled)

    def to(self, device: torch.device | str) -> TextStates:
        phrases = self.phrases
        if phrases is not None:
            phrases = PhraseEmbeddings(
                *(
                    part.to(device)
                    for part in (phrases.phrase_embeds, phrases.attention_mask, phrases.eot_embeds)
                )
            )
        return TextStates(_moved(self.captions, device), _moved(self.empty, device), phrases)


@torch.no_grad()
def encode_texts(base: BaseModel, layouts: Sequence[Layout], depths: Sequence[int]) -> TextStates:
    """The texts of layouts, by the text encoders of the base model.

    depths: see ``BaseModel.embed_phrases``.
    """
    descriptions = [text for layout in layouts for text in layout.local_descriptions]
    return TextStates(
        base.encode_captions([layout.caption for layout in layouts]),
        base.encode_captions([""]),
        base.embed_phrases(descriptions, depths) if descriptions else None,
    )


def _chosen(drop: Tensor, empty: Tensor, given: Tensor) -> Tensor:
    return torch.where(drop.reshape(-1, *[1] * (given.ndim - 1)), empty, given)


def _moved(captions: CaptionStates, device: torch.device | str) -> CaptionStates:
    pooled = captions.pooled
    return CaptionStates(captions.states.to(device), None if pooled is None else pooled.to(device))
