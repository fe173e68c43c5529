"""The settings of a config file as dataclasses.

The files are in ``configs/``; ``config_reader.py`` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, overload

import torch

from ifadapter_diffusers.sampling import GUIDANCE

from .config_reader import build, config_path, read_config
from .value_checks import above, at_least, filled, finite, fraction, percent

# Precision of the base model for each value of ``mixed_precision``.
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Schedule = Literal["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"]
POLYNOMIAL_END = 1e-7  # the learning rate at which diffusers' polynomial schedule ends


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is trained.

    steps: optimizer steps in total.
    learning_rate: reached after the warmup.
    optimizer: AdamW, or AdamW with an 8-bit state, which needs bitsandbytes.
    weight_decay: of AdamW.
    warmup: steps of linear warmup.
    schedule: of the learning rate after the warmup, one of diffusers'. All but constant end at (nearly) zero.
    cycles: of cosine_with_restarts.
    power: of polynomial, which decays by the power of the fraction that is left.
    accumulation: batches per optimizer step and process.
    mixed_precision: precision of the forward and backward pass; fp16 needs a GPU.
    max_gradient_norm: gradients are clipped to this norm.
    ema_decay: of the exponential moving average of the weights, which is what ``weights/`` gets; 0
        = no average.
    save_every: steps between saved states.
    sample_every: steps between sample sheets.
    workers: data loader processes; 0 = load in the training process.
    seed: of new weights, batches, noise and samples.
    betas: of AdamW.
    minutes: time limit of the stage; 0 = none. The learning rate then follows the larger of the
        fractions of steps and of time, and ends where either is used up. A run with a limit is not
        repeatable.
    keep_states: number of saved states on the disk.
    max_skipped: steps in a row that may be skipped because their loss or gradient is not finite; more
        end the training.
    log_every: steps between the rows of ``losses.csv``. On a GPU each row waits for its steps.
    trackers: accelerate's trackers that get the metrics, such as ``wandb``; None = tensorboard where it
        is installed. ``metrics.jsonl`` has them always.
    held_out_every: steps between measurements of the held-out loss.
    """

    steps: int
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: int = 0
    schedule: Schedule = "constant"
    accumulation: int = 1
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    max_gradient_norm: float = 1.0
    ema_decay: float = 0.999
    save_every: int = 500
    sample_every: int = 1000
    workers: int = 0
    seed: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    minutes: float = 0.0
    log_every: int = 10
    keep_states: int = 2
    max_skipped: int = 20
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    cycles: int = 1
    power: float = 1.0
    trackers: tuple[str, ...] | None = None
    held_out_every: int = 500

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "accumulation", "save_every", "sample_every", "log_every", "keep_states")
        at_least(self, 1, "cycles", "held_out_every")
        at_least(self, 0, "weight_decay", "warmup", "workers", "seed", "minutes", "max_skipped")
        above(self, 0, "learning_rate", "max_gradient_norm")
        above(self, 0, "power")
        fraction(self, "ema_decay", one=False)
        if self.schedule == "polynomial" and self.learning_rate <= POLYNOMIAL_END:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; polynomial ends at {POLYNOMIAL_END}, expected more."
            )


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
    init: str | None = None
    held_out_pictures: int = 64

    def __post_init__(self) -> None:
        at_least(self, 1, "batch_size", "samples", "held_out_pictures")
        at_least(self, 0, "guidance")


@dataclass(frozen=True)
class FolderConfig:
    """A folder of pictures with layouts (see ``pictures/folder.py``).

    path: the folder; subfolders are included.
    size: side of the training crops, in pixels.
    max_bad: fraction of the pictures that may be skipped because they cannot be used.
    held_out: pictures that are not trained on: a share of the folder, such as ``2%``, or another folder;
        None = none.
    """

    path: str
    size: int
    max_bad: float = 0.1
    held_out: str | None = None

    def __post_init__(self) -> None:
        filled(self, "path")
        at_least(self, 1, "size")
        fraction(self, "max_bad", one=False)
        if self.held_out is not None:
            filled(self, "held_out")
            if self.held_out.endswith("%"):
                percent(self, "held_out")


@dataclass(frozen=True)
class Config:
    """A whole config file. The drawn world adds a section (see ``shapes/models/config.py``).

    output: folder of the run.
    base: base model: a folder in diffusers' format, a hub name, or a checkpoint file.
    folder: the pictures to train on.
    """

    output: str
    adapter: AdapterConfig
    base: str | None = None
    folder: FolderConfig | None = None

    def __post_init__(self) -> None:
        filled(self, "output")


ConfigKind = TypeVar("ConfigKind", bound=Config)


@overload
def load_config(name: str, overrides: Sequence[str] = ()) -> Config: ...
@overload
def load_config(name: str, overrides: Sequence[str], kind: type[ConfigKind]) -> ConfigKind: ...
def load_config(name: str, overrides: Sequence[str] = (), kind: type[Config] = Config) -> Config:
    """Read a config file and apply overrides such as ``adapter.loop.steps=100``.

    name: a config in ``configs/``, or the path of a .yaml file. kind: dataclass of the whole file.
    Raises ValueError naming the key if one is unknown, missing or of the wrong type.
    """
    return build(kind, read_config(name, overrides), config_path(name).name)
