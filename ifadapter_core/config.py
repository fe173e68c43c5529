"""What an adapter is made of, as data. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

FusionOrder = Literal["gate_before_softmax", "gate_after_softmax"]
MOST_TEXT_DEPTHS = 100  # no text encoder has more layers

# Widths of the text features by which the base model of an adapter is recognised.
TEXT_WIDTHS = {
    96: "the demo's small model",
    768: "SD 1.5 (CLIP-L)",
    1024: "SD 2.x (OpenCLIP-H)",
    2048: "SDXL (CLIP-L + OpenCLIP-bigG)",
}


@dataclass(frozen=True)
class Settings:
    """What an adapter was trained with and its weights do not tell.

    text_depths: which hidden states of the text encoders are read, counted from the end, the deepest first.
    slots: how many instances the fusion softmax runs over, empty ones included (``max_obj`` of the release).
    fusion_order: whether the area gate multiplies the importance before the softmax (release) or the shares after it
    (paper eq. 7). cumulative_mask: the release's mask quirk: from the second resampler layer on, every layer hides one more
    word (see resampler.py).

    Raises ValueError when one of them makes no sense.
    """

    text_depths: tuple[int, ...]
    slots: int
    fusion_order: FusionOrder
    cumulative_mask: bool

    def __post_init__(self) -> None:
        depths = self.text_depths
        if (
            not depths
            or not all(type(depth) is int and -MOST_TEXT_DEPTHS <= depth < 0 for depth in depths)
            or len(set(depths)) < len(depths)
        ):
            raise ValueError(
                f"text_depths is {depths!r}; expected different numbers in -{MOST_TEXT_DEPTHS}..-1."
            )
        if type(self.slots) is not int or self.slots < 1:
            raise ValueError(f"slots is {self.slots!r}; expected a whole number of at least 1.")
        if self.fusion_order not in get_args(FusionOrder):
            raise ValueError(
                f"fusion_order is {self.fusion_order!r}; expected one of {', '.join(get_args(FusionOrder))}."
            )
        if type(self.cumulative_mask) is not bool:
            raise ValueError(f"cumulative_mask is {self.cumulative_mask!r}; expected true or false.")


RELEASE_SETTINGS = Settings(
    text_depths=(-2, -4, -6), slots=10, fusion_order="gate_before_softmax", cumulative_mask=True
)


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
    """The shapes of an adapter, and its settings."""

    resampler: ResamplerConfig
    position: PositionConfig
    layers: tuple[LayerConfig, ...]
    settings: Settings

    @property
    def tokens_per_instance(self) -> int:
        """Appearance tokens of all depths, and the EoT token."""
        return len(self.settings.text_depths) * self.resampler.queries + 1

    @property
    def base_model(self) -> str:
        """The base model that this adapter seems to be made for, by the width of its text features."""
        width = self.resampler.text_width
        return TEXT_WIDTHS.get(width, f"a model with {width}-wide text features")


def settings_to_json(settings: Settings) -> str:
    return json.dumps(asdict(settings))


def settings_from_json(text: str) -> Settings:
    """Raises ValueError when the text is not what ``settings_to_json`` wrote."""
    try:
        data = json.loads(text)
        return Settings(**{**data, "text_depths": tuple(data["text_depths"])})
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"The adapter's settings cannot be read: {error}") from error
