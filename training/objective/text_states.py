"""What the text encoders give for the texts of a batch, to be computed once and used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TextStates:
        """As ``Tensor.to``."""
        return self._each(lambda part: part.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> TextStates:
        """As ``Tensor.pin_memory``: the data loader calls it."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, act: Callable[[Tensor], Tensor]) -> TextStates:
        phrases = self.phrases
        if phrases is not None:
            parts = (phrases.phrase_embeds, phrases.attention_mask, phrases.eot_embeds)
            phrases = PhraseEmbeddings(*map(act, parts))
        captions, empty = (
            CaptionStates(act(each.states), None if each.pooled is None else act(each.pooled))
            for each in (self.captions, self.empty)
        )
        return TextStates(captions, empty, phrases)


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
