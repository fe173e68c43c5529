"""The adapter: its size, its loss and its training."""

from __future__ import annotations

from dataclasses import dataclass, field

from ifadapter_diffusers.demo_settings import GUIDANCE

from ..value_checks import PathText, above, at_least, filled, finite, fraction
from .loop import LoopConfig


@dataclass(frozen=True)
class AdapterShape:
    """Which cross-attention layers of a UNet are adapted, and how large the adapter is.

    blocks: diffusers' block names, such as ``mid_block`` or ``up_blocks.0``.
    transformer_blocks: adapted blocks of each transformer, counted from its first.
    width: of the resampler.
    heads: attention heads of the resampler.
    resampler_layers: number of its perceiver layers.
    queries: appearance queries, and so tokens, for each text depth.
    frequencies: Fourier frequencies of each box coordinate.
    position_width: hidden width of the grounding MLP.
    gate_reduction: a layer's width divided by the width of its gate.
    gate_kernel: kernel size of the gate's convolution, in cells.
    text_depths: hidden states of the text encoder that are read, counted from its end.
    slots: instance slots of the fusion softmax, padding included.
    cumulative_mask: see ``Settings`` in ``ifadapter_core.config``.
    alpha: start of each layer's gate tanh(alpha). 0 = the unchanged base model: stable, but slow to
        learn.
    base_projections: start keys and values from those of the base model, as IP-Adapter does; False: from
        random ones.
    """

    blocks: tuple[str, ...]
    transformer_blocks: int
    width: int
    heads: int
    resampler_layers: int
    queries: int
    frequencies: int
    position_width: int
    gate_reduction: int = 16
    gate_kernel: int = 7
    text_depths: tuple[int, ...] = (-2, -4, -6)
    slots: int = 10
    cumulative_mask: bool = False
    alpha: float = 0.0
    base_projections: bool = True

    def __post_init__(self) -> None:
        filled(self, "blocks", "text_depths")
        at_least(self, 1, "transformer_blocks", "width", "heads", "resampler_layers", "queries")
        at_least(self, 1, "frequencies", "position_width", "gate_reduction", "gate_kernel", "slots")
        finite(self, "alpha")
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}; expected a divisor of width, which is {self.width}.")
        if self.gate_kernel % 2 == 0:
            raise ValueError(f"gate_kernel is {self.gate_kernel}; expected an odd number.")
        if max(self.text_depths) >= 0:
            raise ValueError(
                f"text_depths is {list(self.text_depths)}; "
                "expected negative numbers, counted from the end of the text encoder."
            )


@dataclass(frozen=True)
class AdapterLoss:
    """The base model's own denoising loss (paper, section 4), with dropout of the conditions.

    drop_local: probability that a picture loses its local descriptions: null tokens, same boxes.
    drop_global: probability that a picture loses its caption.
    box_weight: weight of the loss inside boxes; outside it is 1.
    noises: noise samples for each picture of a batch.
    middle: mean of the logits of logit-normal timesteps (``logit_mean`` of ``add_noise``); None =
        uniform timesteps, as in the paper.
    snr_gamma: bound of the min-SNR weights of the noise levels (``snr_weights``); None = equal weights,
        as in the paper.
    noise_offset: see ``offset`` of ``add_noise``; 0 in the paper.
    """

    drop_local: float = 0.15
    drop_global: float = 0.3
    box_weight: float = 1.0
    noises: int = 1
    middle: float | None = None
    snr_gamma: float | None = None
    noise_offset: float = 0.0

    def __post_init__(self) -> None:
        fraction(self, "drop_local", "drop_global")
        above(self, 0, "box_weight")
        at_least(self, 1, "noises")
        at_least(self, 0, "noise_offset")
        finite(self, "middle")
        if self.snr_gamma is not None:
            above(self, 0, "snr_gamma")


@dataclass(frozen=True)
class AdapterConfig:
    """The adapter and its training.

    batch_size: pictures per batch and process.
    gradient_checkpointing: recompute the UNet's activations in the backward pass, to save memory.
    samples: layouts on the sample sheets.
    guidance: scale of the classifier-free guidance on the sample sheets.
    recipe: name of a file in ``recipes/``, whose settings apply where the config gives none; None = the
        defaults.
    init: adapter file to start from, in either format. It decides the shape; None = new weights.
    held_out_pictures: most pictures on which the held-out loss is measured.
    """

    batch_size: int
    shape: AdapterShape
    loop: LoopConfig
    loss: AdapterLoss = field(default_factory=AdapterLoss)
    gradient_checkpointing: bool = False
    samples: int = 8
    guidance: float = GUIDANCE
    recipe: str | None = None
    init: PathText | None = None
    held_out_pictures: int = 64

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size", "samples", "held_out_pictures")
        at_least(self, 0, "guidance")
