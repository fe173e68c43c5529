"""Text encoders of Stable Diffusion 1.x and SDXL: from local descriptions to phrase embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ifadapter_core.tokens import PhraseEmbeddings


@dataclass(frozen=True, eq=False)
class PhraseEncoder:
    """The text encoders of a base model, as the adapter reads them.

    tokenizers: one for each text encoder.
    encoders: CLIP text models; their features are concatenated.
    is_sdxl: as in ComfyUI, hidden states of Stable Diffusion 1.x pass the final layer norm, those of
        SDXL do not.
    prepare: text and tokenizer -> the text to tokenize, for example with the tokens of a textual
        inversion.
    """

    tokenizers: Sequence[Any]
    encoders: Sequence[Any]
    is_sdxl: bool
    prepare: Callable[[str, Any], str] = lambda text, _tokenizer: text

    @torch.no_grad()
    def embed_phrases(self, local_descriptions: Sequence[str], depths: Sequence[int]) -> PhraseEmbeddings:
        """Hidden states of local descriptions, float32, truncated after the longest one.

        depths: hidden states to read, counted from the end.

        The result is on the device where the encoders run. Raises ValueError for depths beyond the
        layers of a text encoder.
        """
        layers = min(encoder.config.num_hidden_layers for encoder in self.encoders)
        if layers < -min(depths):
            raise ValueError(
                f"The adapter reads layer {min(depths)} of the text encoders, counted from the end, but one "
                f"has {layers} layers. Use the adapter's base model, or change text_depths."
            )
        ids = [
            token_ids(tokenizer, [self.prepare(text, tokenizer) for text in local_descriptions])
            for tokenizer in self.tokenizers
        ]
        lengths = (ids[0] == self.tokenizers[0].eos_token_id).int().argmax(dim=1) + 1
        longest = int(lengths.max())
        parts = []
        for encoder, tokens in zip(self.encoders, ids, strict=True):
            given = tokens[:, :longest].to(_input_device(encoder))
            states = encoder(given, output_hidden_states=True).hidden_states
            chosen = torch.stack([states[depth] for depth in depths], dim=1)
            parts.append(chosen if self.is_sdxl else _final_layer_norm(encoder)(chosen))
        phrase_embeds = torch.cat(parts, dim=-1).float()
        lengths = lengths.to(phrase_embeds.device)
        positions = torch.arange(longest, device=lengths.device)
        rows = torch.arange(len(lengths), device=lengths.device)
        return PhraseEmbeddings(
            phrase_embeds,
            attention_mask=(positions < lengths[:, None]).long(),
            eot_embeds=phrase_embeds[rows, 0, lengths - 1],
        )

    def dropped_words(self, text: str) -> str:
        """The words of a local description beyond the tokenizer's maximum; empty if all fit."""
        tokenizer = self.tokenizers[0]
        ids = tokenizer(self.prepare(text, tokenizer), truncation=False, verbose=False)["input_ids"]
        return tokenizer.decode(ids[tokenizer.model_max_length - 1 : -1]).strip()


def token_ids(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Token ids, padded and truncated to the tokenizer's maximum: (len(texts), 77) with CLIP."""
    options = {
        "padding": "max_length",
        "truncation": True,
        "max_length": tokenizer.model_max_length,
        "return_tensors": "pt",
    }
    return tokenizer(list(texts), **options)["input_ids"]


def _input_device(encoder: Any) -> torch.device:
    """Where inputs go. Offloaded weights may be on "meta"; their hooks move the inputs."""
    device: torch.device = encoder.device
    return torch.device("cpu") if device.type == "meta" else device


def _final_layer_norm(encoder: Any) -> Any:
    return getattr(encoder, "text_model", encoder).final_layer_norm
