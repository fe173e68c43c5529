"""Whether Triton kernels or plain torch compute a layer.

The environment variable IFADAPTER_TRITON: 0 turns the kernels off; 1 raises the error of kernels that
cannot be used, instead of going on in plain torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ..plan import LayerPlan

SWITCH = "IFADAPTER_TRITON"
DEVICE_TYPE = "cuda"  # ROCm's too
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# The sizes that fit into the registers of a GPU. Plain torch computes larger ones.
MAX_TOKENS, MAX_HEAD_DIM, MAX_HIDDEN, MAX_DEPTH, MAX_KERNEL = 128, 256, 256, 64, 11


class TritonKernels:
    """The kernels, until they fail once."""

    def __init__(self) -> None:
        self._failed = False

    def add_semantic_map(self, q: Tensor, plan: LayerPlan, out: Tensor) -> bool:
        """Add a layer's semantic map to out in place. False: nothing is done, use plain torch.

        Arguments: see ``attention.add_semantic_map``.
        Raises the error of kernels that cannot be used, if the user asks for it.
        """
        if q.device.type != DEVICE_TYPE or torch.compiler.is_compiling() or torch.is_grad_enabled():
            return False
        switch = os.environ.get(SWITCH, "")
        if switch == "0" or (self._failed and switch != "1"):
            return False
        kept = plan.kept
        if "fits" not in kept:
            kept["fits"] = fits(plan)
        if q.dtype not in DTYPES or not kept["fits"] or not is_current(q.device):
            return False
        try:
            launch(q, plan, out)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if switch == "1":
                raise
            self._failed = True
            if not (isinstance(error, ModuleNotFoundError) and error.name == "triton"):
                _warn(error)
            return False
        return True


def launch(q: Tensor, plan: LayerPlan, out: Tensor) -> None:
    """Compute with the kernels. Raises ModuleNotFoundError without Triton, which is optional."""
    _forward()(q, plan, out)


@cache
def _forward() -> Callable[[Tensor, LayerPlan, Tensor], Tensor]:
    from .forward import add_semantic_map

    return add_semantic_map


def is_current(device: torch.device) -> bool:
    """Whether torch's current device is this one: Triton launches there. A host with several GPUs sets it."""
    return device.index is None or device.index == torch.accelerator.current_device_index()


def fits(plan: LayerPlan) -> bool:
    """Whether the kernels can compute a layer of these sizes."""
    weights = plan.weights
    hidden, channels = weights.squeeze.shape
    return (
        plan.bands[0].k.shape[1] <= MAX_TOKENS
        and channels // weights.heads <= MAX_HEAD_DIM
        and hidden <= MAX_HIDDEN
        and plan.logits.shape[1] - 1 <= MAX_DEPTH
        and weights.kernel.shape[-1] <= MAX_KERNEL
    )


def _warn(error: Exception) -> None:
    logging.warning(
        "IFAdapter: its Triton kernels cannot be used on this GPU, so plain PyTorch computes the adapted "
        "layers: the same pictures, a little slower. To hide this warning, set the environment variable "
        "%s=0. The error was: %s: %s",
        SWITCH,
        type(error).__name__,
        error,
    )


TRITON = TritonKernels()
