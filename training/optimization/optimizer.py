"""The optimizer of the trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import is_bnb_available
from torch import nn

from ..config import LoopConfig

FAST_ADAM = ("cuda",)  # kinds of devices with a fused AdamW


def check_optimizer(config: LoopConfig) -> None:
    """Raises ValueError if the config's optimizer needs a package that is not installed."""
    if config.optimizer == "adamw8bit" and not is_bnb_available():
        raise ValueError(
            "optimizer is adamw8bit, which needs the package bitsandbytes. "
            "Run pip install bitsandbytes, or set adapter.loop.optimizer=adamw."
        )


def new_optimizer(
    trained: Sequence[nn.Parameter], config: LoopConfig, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW, fused where that is faster, or with an 8-bit state.

    Raises ValueError if its package is not installed.
    """
    check_optimizer(config)
    options: dict[str, Any] = {
        "lr": config.learning_rate,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
    }
    if config.optimizer == "adamw8bit":
        import bitsandbytes

        return bitsandbytes.optim.AdamW8bit(trained, **options)
    return torch.optim.AdamW(trained, fused=True if device.type in FAST_ADAM else None, **options)
