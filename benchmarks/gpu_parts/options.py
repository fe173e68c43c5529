"""What every part needs to know: the device, the size of the run, and the kernels to compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import torch

SWITCH = (
    "IFADAPTER_TRITON"  # of ifadapter_core/modules/kernels/choice.py; ComfyUI's copy of the core reads it too
)


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


@contextmanager
def _switched(value: str) -> Iterator[None]:
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


# Implementations of an adapted layer: name -> context in which layers use it, or raise where they cannot.
KERNELS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "torch": partial(_switched, "0"),
    "triton": partial(_switched, "1"),
}
