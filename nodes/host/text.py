"""Local descriptions -> phrase embeddings, by the host's CLIP."""

from __future__ import annotations

import inspect
import logging
import numbers
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...ifadapter_core.config import IFAdapterConfig
from ...ifadapter_core.tokens import PhraseEmbeddings

END_OF_TEXT = 49407  # token id in CLIP's vocabulary
CHUNK = 77  # tokens of a description, padding included, and so states
ENCODERS = ("l", "g")  # CLIP-L and OpenCLIP-bigG, in the order of their concatenated features


def encode_phrases(clip: Any, local_descriptions: Sequence[str], config: IFAdapterConfig) -> PhraseEmbeddings:
    """Hidden states of all local descriptions at the adapter's depths.

    clip: the host's CLIP. Its clip skip is ignored, because the adapter has depths of its own.
    Each text encoder runs once, on all descriptions together.
    Raises ValueError without a CLIP, if the CLIP is of another kind than the adapter expects, or if
    another pack changed the number of states that it gives.
    """
    check_clip(clip)
    chunks = _first_chunks(clip, local_descriptions, config)
    encoder = min(chunks, key=ENCODERS.index)
    lengths = [_end_of_text(clip, encoder, chunk) + 1 for chunk in chunks[encoder]]
    reader = clip.clone()
    comfy.model_management.throw_exception_if_processing_interrupted()
    depths: list[Tensor] = []
    with _memoised_encoders(clip, config.settings.text_depths):
        for depth in config.settings.text_depths:
            reader.clip_layer(depth)
            hidden = reader.encode_from_tokens(chunks).float()  # 1, N * tokens, width
            _check_width(hidden.shape[-1], chunks, config)
            if not depths:
                _check_states(clip, chunks, hidden.shape[1])
            hidden = hidden.reshape(len(lengths), -1, hidden.shape[-1])
            depths.append(hidden[:, : max(lengths)])  # the rest is padding, which the adapter ignores
    phrase_embeds = torch.stack(depths, dim=1)
    ends = torch.tensor(lengths) - 1
    attention_mask = (torch.arange(phrase_embeds.shape[2]) <= ends[:, None]).long()
    return PhraseEmbeddings(phrase_embeds, attention_mask, phrase_embeds[torch.arange(len(lengths)), 0, ends])


def check_clip(clip: Any) -> None:
    """Raises ValueError without a CLIP: ComfyUI loads a checkpoint that holds none with a warning only."""
    if clip is None:
        raise ValueError(
            "The CLIP is None: the checkpoint holds no text encoder. Load one, for example with Load CLIP."
        )


class _MemoisedForward:
    """Memoised encoder forward: one pass serves every requested depth of the same input."""

    def __init__(self, encoder: Any, depths: Sequence[int]) -> None:
        self._forward = encoder.forward
        self._layers = {depth: encoder.layers[depth] for depth in depths}
        self._input: Tensor | None = None
        self._states: dict[int, Tensor] = {}

    def __call__(
        self, x: Tensor, mask: Tensor | None = None, intermediate_output: Any = None, **rest: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Same contract as the host's encoder forward. Calls for anything else run plainly.

        x (N, T, C): token embeddings. intermediate_output: index of a layer.
        Returns the states of the last layer and of that layer, both (N, T, C).
        """
        if rest or (intermediate_output is not None and intermediate_output not in self._layers):
            return self._forward(x, mask=mask, intermediate_output=intermediate_output, **rest)
        if self._input is None or not torch.equal(x, self._input):
            self._input = x.clone()  # the layers modify x in place
            self._states = {}
            with ExitStack() as stack:
                for depth, layer in self._layers.items():
                    stack.callback(layer.register_forward_hook(partial(self._keep, depth)).remove)
                self._last, _ = self._forward(x, mask=mask)
        if intermediate_output is None:
            return self._last.clone(), None
        return self._last.clone(), self._states[intermediate_output].clone()

    def _keep(self, depth: int, _layer: Any, _given: Any, states: Tensor) -> None:
        self._states[depth] = states.clone()


@contextmanager
def _memoised_encoders(clip: Any, depths: Sequence[int]) -> Iterator[None]:
    """Memoise the forward of the text encoders inside the ``with`` block, for these depths."""
    names = [f"clip_{name}" for name in ENCODERS if hasattr(clip.cond_stage_model, f"clip_{name}")]
    found = {name: _layers_of(getattr(clip.cond_stage_model, name)) for name in names}
    if unlike := [name for name, layers in found.items() if layers is None]:
        logging.warning(
            "IFAdapter: the text encoder %s is built differently than ComfyUI's, so it runs once for each of "
            "the adapter's %d text depths, which takes longer. The result is the same.",
            " and ".join(unlike),
            len(depths),
        )
    with ExitStack() as stack:
        for name, layers in found.items():
            if layers is None:
                continue
            if len(layers.layers) < -min(depths):
                raise ValueError(
                    f"This CLIP does not fit the adapter: the adapter reads layer {min(depths)} of the text "
                    f"encoders, counted from the end, but {name} has {len(layers.layers)} layers. Connect "
                    "the CLIP of a checkpoint of the adapter's base model, or load another adapter file."
                )
            memoised = _MemoisedForward(layers, depths)
            attributes = vars(layers)
            if "forward" in attributes:  # another pack replaced it
                stack.callback(attributes.update, forward=attributes["forward"])
            else:
                stack.callback(attributes.pop, "forward")
            layers.forward = memoised
        yield


def _layers_of(encoder: Any) -> Any | None:
    """The module that runs the layers of one of ComfyUI's text encoders; None for other structures."""
    module = encoder
    for name in ("transformer", "text_model", "encoder"):
        module = getattr(module, name, None)
    if not isinstance(module, torch.nn.Module) or not isinstance(
        getattr(module, "layers", None), torch.nn.ModuleList
    ):
        return None
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError):
        return None
    return module if {"mask", "intermediate_output"} <= parameters.keys() else None


def _first_chunks(clip: Any, local_descriptions: Sequence[str], config: IFAdapterConfig) -> dict[str, list]:
    """Tokens by encoder: one chunk of 77 per description. More tokens are dropped with a warning."""
    chunks: dict[str, list] = {}
    for number, text in enumerate(local_descriptions, 1):
        tokens = clip.tokenize(text)
        if not set(tokens) <= set(ENCODERS):
            raise _wrong_clip(f"has the text encoders {', '.join(sorted(tokens))}", config)
        for encoder, parts in tokens.items():
            chunks.setdefault(encoder, []).append(parts[0])
        encoder, parts = next(iter(tokens.items()))
        _warn_of_dropped_words(clip, encoder, parts[1:], number)
    return chunks


def _end_of_text(clip: Any, encoder: str, chunk: list) -> int:
    end = getattr(getattr(clip.tokenizer, f"clip_{encoder}", None), "end_token", END_OF_TEXT)
    return first_end(chunk, end)


def first_end(chunk: list, end: int) -> int:
    """Position of the first end token in a chunk. Embeddings are tensors there, not numbers."""
    return next(
        index
        for index, (token, *_) in enumerate(chunk)
        if isinstance(token, numbers.Integral) and token == end
    )


def _warn_of_dropped_words(clip: Any, encoder: str, parts: list, number: int) -> None:
    pairs = [
        pair
        for part in parts
        for pair in part[1 : _end_of_text(clip, encoder, part)]
        if isinstance(pair[0], numbers.Integral)
    ]
    if not pairs:
        return
    words = "".join(word.replace("</w>", " ") for _, word in clip.tokenizer.untokenize(pairs)).strip()
    logging.warning(
        "IFAdapter: the local description of box %d is longer than 77 tokens; dropped: %s", number, words
    )


def _check_width(width: int, chunks: dict[str, list], config: IFAdapterConfig) -> None:
    if width != config.resampler.text_width:
        raise _wrong_clip(
            f"gives {width}-wide text features (text encoders {', '.join(sorted(chunks))})", config
        )


def _check_states(clip: Any, chunks: dict[str, list], joined: int) -> None:
    """Check that each text encoder gives one state per token; the host cuts both to the shorter one.

    joined: number of states of the encoders together. Call it after encoding the chunks: then the
    encoders are loaded and remember the chunks.
    """
    states = {
        encoder: getattr(clip.cond_stage_model, f"clip_{encoder}").encode_token_weights(parts)[0].shape[1]
        for encoder, parts in chunks.items()
    }
    expected = CHUNK * len(next(iter(chunks.values())))
    if {joined, *states.values()} != {expected}:
        found = ", ".join(f"{encoder}: {count * CHUNK / expected:g}" for encoder, count in states.items())
        raise ValueError(
            f"This CLIP does not give {CHUNK} states for a description, one per token (text encoder "
            f"{found}). A node before IFAdapter Encode changed how it encodes text, for example CLIP "
            "NegPip. Take the CLIP from before that node, for example directly from the checkpoint loader."
        )


def _wrong_clip(found: str, config: IFAdapterConfig) -> ValueError:
    return ValueError(
        f"This CLIP does not fit the adapter: it {found}, but the adapter was made for "
        f"{config.base_model}, {config.resampler.text_width} wide. Connect the CLIP of a "
        "checkpoint of the adapter's base model."
    )
