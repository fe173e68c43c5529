"""The accelerator of a training, for whatever the launcher and ``accelerate config`` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedType,
    InitProcessGroupKwargs,
    ProjectConfiguration,
    parse_flag_from_env,
)

from ..config import LoopConfig
from .weights import WholeWeights

PATIENCE = timedelta(minutes=60)  # longest wait for another process, such as one that writes a state


def new_accelerator(config: LoopConfig, logs: Path, trackers: Sequence[Any]) -> Accelerator:
    """An accelerator with the precision and the accumulation of the config.

    logs: folder of the trackers.

    Raises ValueError for fp16 on the CPU.
    """
    zero = parse_flag_from_env("ACCELERATE_USE_DEEPSPEED")  # casts the weights; ``ZeroWeights`` autocasts
    accelerator = Accelerator(
        mixed_precision="no" if zero else config.mixed_precision,
        gradient_accumulation_steps=config.accumulation,
        log_with=list(trackers),
        project_config=ProjectConfiguration(logging_dir=str(logs)),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    accelerator.gradient_accumulation_steps = config.accumulation  # a launcher may set another
    set_precision(accelerator.device, config)
    return accelerator


def set_precision(device: torch.device, config: LoopConfig) -> None:
    """Set how the process multiplies float32 matrices on a device, by ``tf32``.

    Raises ValueError for fp16 on the CPU.
    """
    if config.mixed_precision == "fp16" and device.type == "cpu":
        raise ValueError("mixed_precision is fp16, which needs a GPU. On the CPU use bf16 or no.")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = config.tf32


def weights_of(accelerator: Accelerator) -> WholeWeights:
    """How the accelerator divides weights.

    Raises ValueError for a way that the trainer does not know.
    """
    kind = accelerator.distributed_type
    if kind == DistributedType.FSDP:
        from .fsdp import ShardedWeights  # not at the top: torch may be built without torch.distributed

        return ShardedWeights(accelerator)
    if kind == DistributedType.DEEPSPEED:
        from .zero import ZeroWeights

        return ZeroWeights(accelerator)
    if kind != DistributedType.NO and not kind.value.startswith("MULTI_"):
        raise ValueError(
            f"The accelerate config asks for {kind.value}; expected MULTI_GPU, FSDP or DEEPSPEED."
        )
    return WholeWeights(accelerator)
