"""How a stage is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ..value_checks import above, at_least, fraction

# Precision of the base model for each value of ``mixed_precision``.
DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Schedule = Literal["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"]
MAX_SEED = 2**32 - 1  # of NumPy
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
    tf32: on a CUDA device, multiply float32 matrices with 10 bits of mantissa (TensorFloat-32).
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
    tf32: bool = True

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "accumulation", "save_every", "sample_every", "log_every", "keep_states")
        at_least(self, 1, "cycles", "held_out_every")
        at_least(self, 0, "weight_decay", "warmup", "workers", "seed", "minutes", "max_skipped")
        above(self, 0, "learning_rate", "max_gradient_norm")
        above(self, 0, "power")
        if any(not 0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas is {list(self.betas)}; expected two numbers from 0 to 1, without 1.")
        if self.seed > MAX_SEED:
            raise ValueError(f"seed is {self.seed}; expected at most {MAX_SEED}.")
        fraction(self, "ema_decay", one=False)
        if self.schedule == "polynomial" and self.learning_rate <= POLYNOMIAL_END:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; polynomial ends at {POLYNOMIAL_END}, expected more."
            )
