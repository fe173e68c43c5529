"""What an adapter is made of, as data. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

FusionOrder = Literal["gate_before_softmax", "gate_after_softmax"]

TEXT_DEPTHS = (-2, -4, -6)  # CLIP hidden states of the release, penultimate first
RELEASE_SLOTS = 10  # max_obj of the release: the fusion softmax runs over this many instances, empty ones included

# Widths of the text features by which the base model of an adapter is recognised.
TEXT_WIDTHS = {768: "SD 1.5 (CLIP-L)", 1024: "SD 2.x (OpenCLIP-H)", 2048: "SDXL (CLIP-L + OpenCLIP-bigG)"}


@dataclass(frozen=True)
class ResamplerConfig:
    """Perceiver-like resampler (paper 3.3.1): word tokens of width ``text_width`` -> ``queries`` tokens of ``token_width``."""

    text_width: int
    width: int
    token_width: int
    queries: int
    layers: int
    heads: int
    head_dim: int
    mlp_width: int
    cumulative_mask: bool  # the release's mask quirk: from layer 2 on, every layer hides one more word (see resampler.py)


@dataclass(frozen=True)
class PositionConfig:
    """Fourier features of a box and the MLP after them."""

    frequencies: int
    hidden_width: int
    token_width: int


@dataclass(frozen=True)
class LayerConfig:
    """One adapted cross-attention layer.

    ``processor`` is the layer's identity: its index among all attention processors of the diffusers UNet (down blocks,
    up blocks, mid block; attn1 and attn2 alternate), the name that the release gives it.
    """

    processor: int
    heads: int
    head_dim: int
    token_width: int
    gate_width: int  # hidden width of the channel attention
    gate_kernel: int  # side of the spatial attention's kernel

    @property
    def width(self) -> int:
        return self.heads * self.head_dim


@dataclass(frozen=True)
class IFAdapterConfig:
    """Everything that the weights alone do not tell, and the shapes that they do."""

    resampler: ResamplerConfig
    position: PositionConfig
    layers: tuple[LayerConfig, ...]
    text_depths: tuple[int, ...]
    slots: int
    fusion_order: FusionOrder

    def __post_init__(self) -> None:
        if self.fusion_order not in get_args(FusionOrder):
            raise ValueError(f"fusion_order is {self.fusion_order!r}; expected one of {', '.join(get_args(FusionOrder))}.")
        if self.slots < 1 or not self.text_depths or not self.layers:
            raise ValueError("An adapter needs at least one slot, one text depth and one adapted layer.")

    @property
    def tokens_per_instance(self) -> int:
        """Appearance tokens of all depths, and the EoT token."""
        return self.appearance_tokens + 1

    @property
    def appearance_tokens(self) -> int:
        return len(self.text_depths) * self.resampler.queries

    @property
    def base_model(self) -> str:
        """The base model that this adapter seems to be made for, by the width of its text features."""
        width = self.resampler.text_width
        return TEXT_WIDTHS.get(width, f"a model with {width}-wide text features")


def config_to_json(config: IFAdapterConfig) -> str:
    return json.dumps(asdict(config))


def config_from_json(text: str) -> IFAdapterConfig:
    """Raises ValueError when the text is not a config that ``config_to_json`` wrote."""
    try:
        data = json.loads(text)
        return IFAdapterConfig(
            resampler=ResamplerConfig(**data.pop("resampler")),
            position=PositionConfig(**data.pop("position")),
            layers=tuple(LayerConfig(**layer) for layer in data.pop("layers")),
            text_depths=tuple(data.pop("text_depths")),
            **data,
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"The adapter's config cannot be read: {error}") from error
