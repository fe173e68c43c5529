"""The reference for text: transformers' CLIP models with the small models' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

import oracle

BEGIN, END, LENGTH = 49406, 49407, 77
DEPTHS = (-2, -4, -6)
PADDING = {"clip_l": END, "clip_g": 0}
LAYERS = {"clip_l": 12, "clip_g": 32}
ACTIVATIONS = {"clip_l": "quick_gelu", "clip_g": "gelu"}
# A textual inversion with two vectors, at two token ids beyond the vocabulary.
EMBEDDING, EMBEDDING_IDS = "plaid", [49408, 49409]
Words = Sequence[tuple[int, float]]  # token ids and their weights, without BEGIN and END


@dataclass(frozen=True)
class Encoders:
    """Both text encoders and their tokenizer in transformers."""

    models: dict[str, CLIPTextModel]
    tokenizer: CLIPTokenizer

    def words(self, text: str, weight: float = 1.0) -> Words:
        return [(token, weight) for token in self.tokenizer(text)["input_ids"][1:-1]]

    def hidden(self, name: str, ids: Sequence[int]) -> Tensor:
        """Hidden states (3, 77, width) of one text at DEPTHS, float64."""
        padded = [BEGIN, *ids, END] + [PADDING[name]] * (LENGTH - len(ids) - 2)
        states = self.models[name](torch.tensor([padded]), output_hidden_states=True).hidden_states
        return torch.stack([states[depth][0] for depth in DEPTHS])

    def phrases(self, texts: Sequence[Words]) -> oracle.Phrases:
        """phrase_embeds (N, 3, 77, D), attention_mask (N, 77), eot_embeds (N, D)."""
        embeds, masks, eots = [], [], []
        for words in texts:
            ids, weights = [token for token, _ in words], [1.0, *(weight for _, weight in words)]
            scale = torch.tensor(weights + [1.0] * (LENGTH - len(weights)), dtype=torch.float64)[:, None]
            parts = []
            for name in self.models:
                z, empty = self.hidden(name, ids), self.hidden(name, [])
                parts.append((z - empty) * scale + empty)
            joined = torch.cat(parts, dim=-1)
            embeds.append(joined)
            masks.append((torch.arange(LENGTH) < len(ids) + 2).long())
            eots.append(joined[0, len(ids) + 1])
        return torch.stack(embeds), torch.stack(masks), torch.stack(eots)
