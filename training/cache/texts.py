"""What the text encoders give for captions and local descriptions: each distinct text once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ifadapter_core.layout import Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.base_model import BaseModel, CaptionStates

from ..cropping.crops import Crops
from ..objective.text_states import TextStates
from .parts import COMMAND, CacheError, Parts

FOLDER = "texts"
PER_PART = 256  # texts in a file, on average
STATES, POOLED, PHRASE = "states", "pooled", "phrase"
BATCH = 32  # texts that are encoded at once


def key_of(text: str) -> str:
    """The name of a text in its file."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def part_of(key: str, parts: int) -> int:
    """The file of a text: by its hash, so that no index is needed."""
    return int(key[:12], 16) % parts


def has_captions_of_crops(crops: Crops) -> bool:
    """Whether captions are made of the boxes that a crop keeps."""
    samples = crops.samples
    usable = (sample for sample in range(len(samples)) if sample not in samples.bad)
    return crops.buckets and any(not samples.layout(sample).caption for sample in usable)


def texts_of(crops: Crops, of_crops: bool) -> tuple[set[str], set[str]]:
    """All captions, the empty one among them, and all local descriptions.

    of_crops: see ``has_captions_of_crops``. Then the fixed crops decide.
    """
    samples = crops.samples
    captions, descriptions = {""}, set()
    for sample in range(len(samples)):
        if sample in samples.bad:
            continue
        layout = samples.layout(sample)
        captions.add(layout.caption)
        descriptions.update(layout.local_descriptions)
        if of_crops and not layout.caption:
            captions |= {crops.fixed(sample, number).layout.caption for number in range(crops.count)}
    return captions, descriptions


def part_count(captions: set[str], descriptions: set[str]) -> int:
    return -(-len(captions | descriptions) // PER_PART)


def by_part(texts: Iterable[str], parts: int) -> list[list[str]]:
    """The texts of each file, sorted."""
    found: list[list[str]] = [[] for _ in range(parts)]
    for text in sorted(texts):
        found[part_of(key_of(text), parts)].append(text)
    return found


def encoded(
    base: BaseModel,
    captions: Sequence[str],
    descriptions: Sequence[str],
    depths: Sequence[int],
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """The entries of a file: of each caption its states (77, D) and, for SDXL, the pooled text (P); of each
    local description the hidden states of its tokens (k, T, D).

    depths: see ``BaseModel.embed_phrases``.
    """
    tensors: dict[str, Tensor] = {}
    for first in range(0, len(captions), BATCH):
        texts = captions[first : first + BATCH]
        states = base.encode_captions(texts)
        for number, text in enumerate(texts):
            tensors[f"{key_of(text)}.{STATES}"] = states.states[number].to("cpu", dtype)
            if states.pooled is not None:
                tensors[f"{key_of(text)}.{POOLED}"] = states.pooled[number].to("cpu", dtype)
    for first in range(0, len(descriptions), BATCH):
        texts = descriptions[first : first + BATCH]
        phrases = base.embed_phrases(texts, depths)
        lengths = phrases.attention_mask.sum(dim=1).tolist()
        for number, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            own = phrases.phrase_embeds[number, :, :length]
            tensors[f"{key_of(text)}.{PHRASE}"] = own.to("cpu", dtype)
    return tensors


class CachedTexts:
    """The text states of layouts, from a cache.

    pooled: whether the base model has pooled texts, as SDXL.
    """

    def __init__(self, parts: Parts, pooled: bool) -> None:
        self.parts, self.pooled = parts, pooled

    def of(self, layouts: Sequence[Layout]) -> TextStates:
        """Raises CacheError if a text is not in the cache."""
        descriptions = [text for layout in layouts for text in layout.local_descriptions]
        return TextStates(
            self._captions([layout.caption for layout in layouts]),
            self._captions([""]),
            self._phrases(descriptions) if descriptions else None,
        )

    def _captions(self, texts: Sequence[str]) -> CaptionStates:
        pooled = [self._read(text, POOLED) for text in texts] if self.pooled else None
        states = [self._read(text, STATES) for text in texts]
        return CaptionStates(torch.stack(states), torch.stack(pooled) if pooled else None)

    def _phrases(self, texts: Sequence[str]) -> PhraseEmbeddings:
        found = [self._read(text, PHRASE) for text in texts]
        lengths = torch.tensor([part.shape[1] for part in found])
        longest = int(lengths.max())
        embeds = torch.stack([pad(part, (0, 0, 0, longest - part.shape[1])) for part in found])
        return PhraseEmbeddings(
            embeds,
            attention_mask=(torch.arange(longest) < lengths[:, None]).long(),
            eot_embeds=embeds[torch.arange(len(found)), 0, lengths - 1],
        )

    def _read(self, text: str, kind: str) -> Tensor:
        key = key_of(text)
        part = part_of(key, self.parts.count)
        try:
            return self.parts.tensor(part, f"{key}.{kind}")
        except KeyError:
            raise CacheError(
                f"{self.parts.path(part)} does not have the text {text!r}. "
                f"Remove the file, and run `{COMMAND}` again."
            ) from None
