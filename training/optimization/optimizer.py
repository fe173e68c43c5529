"""The optimizer of the trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import is_bnb_available
from torch import nn

from ..config import LoopConfig
from ..state_files import OtherStateError

ADAMW, ADAMW_8BIT = "adamw", "adamw8bit"
FAST_ADAM = ("cuda",)  # kinds of devices with a fused AdamW


def check_optimizer(config: LoopConfig) -> None:
    """Raises ValueError if the config's optimizer needs a package that is not installed."""
    if config.optimizer == ADAMW_8BIT and not is_bnb_available():
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
    options = {"lr": config.learning_rate, **_group_settings(config)}
    if config.optimizer == ADAMW_8BIT:
        import bitsandbytes

        return bitsandbytes.optim.AdamW8bit(trained, **options)
    return torch.optim.AdamW(trained, fused=True if device.type in FAST_ADAM else None, **options)


def apply_settings(optimizer: Any, config: LoopConfig) -> None:
    """Give an optimizer with a loaded state the config's settings: a state brings those of its time.

    The learning rate is set at each step.

    Raises OtherStateError if the state is of another kind of optimizer.
    """
    for group in optimizer.param_groups:
        group.update(_group_settings(config))
    entries = optimizer.state.values()
    kinds = {ADAMW if "exp_avg" in entry else ADAMW_8BIT for entry in entries if entry}
    if kinds - {config.optimizer}:
        raise OtherStateError(
            f"optimizer is {config.optimizer}, but the state is of {', '.join(kinds)}. "
            f"Set adapter.loop.optimizer={kinds.pop()}, or start another run from weights/ (adapter.init)."
        )


def _group_settings(config: LoopConfig) -> dict[str, Any]:
    """What the optimizer's groups of weights hold of the config, without the learning rate."""
    return {"betas": config.betas, "weight_decay": config.weight_decay}
