"""Shapes and settings of an adapter, as plain data. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from reprlib import Repr
from typing import Any, Literal, get_args

FusionOrder = Literal["gate_before_softmax", "gate_after_softmax"]

# Upper bounds, far above any real adapter: a file beyond them would exhaust memory or time.
MAX_TEXT_DEPTHS = 100  # no text encoder has more layers
MAX_SLOTS = 1000
MAX_LAYERS = 300  # SDXL has 140 attention processors
MAX_QUERIES = 256
MAX_WIDTH = 16_384
MAX_GATE_KERNEL = 31
MAX_SETTINGS_TEXT = 10_000  # characters

_shortener = Repr()
_shortener.maxlevel = 2
_shortener.maxstring = _shortener.maxother = 200


def shortened(value: Any) -> str:
    """repr of a value from a file, of bounded length and without control characters."""
    return _shortener.repr(value)


def unquoted(text: str) -> str:
    """Text from a file, of bounded length and without control characters."""
    return shortened(text)[1:-1]


def check_size(name: str, value: Any, most: int) -> None:
    """Raise ValueError unless ``value`` is a whole number in 1..most."""
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} is {shortened(value)}; expected a whole number in 1..{most}.")


@dataclass(frozen=True)
class BaseModelFamily:
    """Base models of the same architecture.

    name: shown in messages.
    cell_px: picture pixels per cell of the finest adapted layer.
    """

    name: str
    cell_px: int


DEFAULT_CELL_PX = 32
FAMILIES = {  # by the width of the text features
    768: BaseModelFamily("SD 1.5 (CLIP-L)", cell_px=32),
    1024: BaseModelFamily("SD 2.x (OpenCLIP-H)", cell_px=32),
    2048: BaseModelFamily("SDXL (CLIP-L + OpenCLIP-bigG)", cell_px=32),
}


@dataclass(frozen=True)
class Settings:
    """Training settings that cannot be derived from the weights.

    text_depths: hidden states of the text encoders to read, counted from the end, deepest first.
    slots: number of slots of the fusion softmax, empty ones included (``max_obj`` of the release).
    fusion_order: multiply by the area gate before the softmax (release) or after it (paper eq. 7).
    cumulative_mask: the release's mask quirk, see ``resampler.word_masks``.

    Raises ValueError for values out of range.
    """

    text_depths: tuple[int, ...]
    slots: int
    fusion_order: FusionOrder
    cumulative_mask: bool

    def __post_init__(self) -> None:
        depths = self.text_depths
        in_range = all(type(depth) is int and -MAX_TEXT_DEPTHS <= depth < 0 for depth in depths)
        if not depths or not in_range or len(set(depths)) < len(depths):
            raise ValueError(
                f"text_depths is {shortened(depths)}; "
                f"expected different whole numbers in -{MAX_TEXT_DEPTHS}..-1."
            )
        check_size("slots", self.slots, MAX_SLOTS)
        if self.fusion_order not in get_args(FusionOrder):
            raise ValueError(
                f"fusion_order is {shortened(self.fusion_order)}; "
                f"expected one of {', '.join(get_args(FusionOrder))}."
            )
        if type(self.cumulative_mask) is not bool:
            raise ValueError(f"cumulative_mask is {shortened(self.cumulative_mask)}; expected true or false.")


RELEASE_SETTINGS = Settings(
    text_depths=(-2, -4, -6), slots=10, fusion_order="gate_before_softmax", cumulative_mask=True
)


@dataclass(frozen=True)
class ResamplerConfig:
    """Perceiver-like resampler (paper 3.3.1): word features -> appearance tokens.

    text_width: channels of the text features.
    width: channels inside the resampler.
    token_width: channels of the appearance tokens.
    queries: appearance tokens per text depth.
    layers: number of resampler layers.
    heads: attention heads per layer.
    head_dim: channels per head.
    mlp_width: hidden channels of the gated MLP.

    Raises ValueError for sizes out of bounds.
    """

    text_width: int
    width: int
    token_width: int
    queries: int
    layers: int
    heads: int
    head_dim: int
    mlp_width: int

    def __post_init__(self) -> None:
        check_size("the number of appearance queries", self.queries, MAX_QUERIES)
        check_size("the number of resampler layers", self.layers, MAX_LAYERS)
        for name in ("text_width", "width", "token_width", "heads", "head_dim", "mlp_width"):
            check_size(f"the resampler's {name}", getattr(self, name), MAX_WIDTH)
        check_size("the width of the resampler's attention", self.heads * self.head_dim, MAX_WIDTH)


@dataclass(frozen=True)
class PositionConfig:
    """Fourier features of a box and the MLP that follows.

    frequencies: Fourier frequencies per box coordinate.
    hidden_width: hidden channels of the MLP.
    token_width: channels of the grounding embedding.

    Raises ValueError for sizes out of bounds.
    """

    frequencies: int
    hidden_width: int
    token_width: int

    def __post_init__(self) -> None:
        check_size("the number of position features", 8 * self.frequencies, MAX_WIDTH)
        for name in ("hidden_width", "token_width"):
            check_size(f"the position net's {name}", getattr(self, name), MAX_WIDTH)


@dataclass(frozen=True)
class LayerConfig:
    """One adapted cross-attention layer.

    processor: index among all attention processors of the diffusers UNet (down, up, mid blocks;
        attn1 and attn2 alternate). Identifies the layer, as in the release's checkpoint.
    heads: attention heads.
    head_dim: channels per head.
    token_width: channels of the instance tokens.
    gate_width: hidden channels of the channel attention.
    gate_kernel: kernel size of the spatial attention, in cells; odd.

    Raises ValueError for sizes out of bounds.
    """

    processor: int
    heads: int
    head_dim: int
    token_width: int
    gate_width: int
    gate_kernel: int

    def __post_init__(self) -> None:
        for name in ("heads", "head_dim", "width", "token_width", "gate_width"):
            check_size(f"{name} of layer {self.processor}", getattr(self, name), MAX_WIDTH)
        check_size(f"the gate's kernel of layer {self.processor}", self.gate_kernel, MAX_GATE_KERNEL)
        if self.gate_kernel % 2 == 0:
            raise ValueError(
                f"The gate's kernel of layer {self.processor} is {self.gate_kernel} cells wide; expected an "
                "odd width, so that its output has the size of the grid."
            )

    @property
    def width(self) -> int:
        """Channels of the layer."""
        return self.heads * self.head_dim


@dataclass(frozen=True)
class IFAdapterConfig:
    """Everything needed to build an adapter, apart from its weights.

    resampler: shapes of the resampler.
    position: shapes of the position net.
    layers: the adapted layers.
    settings: training settings.
    family_override: the base model's family, if its text width does not identify it.

    Raises ValueError for too many layers, or none.
    """

    resampler: ResamplerConfig
    position: PositionConfig
    layers: tuple[LayerConfig, ...]
    settings: Settings
    family_override: BaseModelFamily | None = None

    def __post_init__(self) -> None:
        check_size("the number of adapted layers", len(self.layers), MAX_LAYERS)

    @property
    def tokens_per_instance(self) -> int:
        """Number of appearance tokens of all depths, plus one EoT token."""
        return len(self.settings.text_depths) * self.resampler.queries + 1

    @property
    def family(self) -> BaseModelFamily:
        """Family of the base model: the override, or recognized by the width of the text features."""
        width = self.resampler.text_width
        unknown = BaseModelFamily(f"a model with {width}-wide text features", DEFAULT_CELL_PX)
        return self.family_override or FAMILIES.get(width, unknown)

    @property
    def base_model(self) -> str:
        """Name of the base model's family, for messages."""
        return self.family.name


def settings_to_json(settings: Settings) -> str:
    """The settings as JSON text, for the metadata of an adapter file."""
    return json.dumps(asdict(settings))


def settings_from_json(text: str) -> Settings:
    """Inverse of ``settings_to_json``. Raises ValueError for any other text."""
    try:
        if len(text) > MAX_SETTINGS_TEXT:
            raise ValueError(f"{len(text)} characters; expected at most {MAX_SETTINGS_TEXT}.")
        data = json.loads(text)
        if not isinstance(data, dict) or "text_depths" not in data:
            raise ValueError(f"expected an object with text_depths, got {shortened(text)}.")
        return Settings(**{**data, "text_depths": tuple(data["text_depths"])})
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"The adapter's settings cannot be read: {str(error)[:500].rstrip('.')}.") from error
