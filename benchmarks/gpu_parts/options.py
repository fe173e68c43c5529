"""What every part needs to know: the device, the size of the run, and the kernels to compare."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Options:
    """device: where everything runs. small: tiny sizes, for a test. kernels: names in KERNELS."""

    device: torch.device
    small: bool
    kernels: tuple[str, ...] = ("torch",)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """Of activations: float16 as on users' GPUs; a CPU has it in software only."""
        return torch.float16 if self.on_gpu else torch.float32


# Implementations of an adapted layer: name -> context in which layers use it.
KERNELS: dict[str, Callable[[], AbstractContextManager[object]]] = {"torch": nullcontext}
