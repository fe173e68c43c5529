"""Whether a layer is computed by the Triton kernels or by plain torch.

The environment variable IFADAPTER_TRITON: 0 turns the kernels off; 1 raises the error of a kernel that
fails, instead of going on in plain torch.
"""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec

import torch
from torch import Tensor

from ..plan import LayerPlan

SWITCH = "IFADAPTER_TRITON"
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# The sizes that fit into the registers of a GPU. Plain torch computes larger ones.
MAX_TOKENS, MAX_HEAD_DIM, MAX_HIDDEN, MAX_DEPTH, MAX_KERNEL = 128, 256, 256, 64, 11


class TritonKernels:
    """The kernels, until one of them fails."""

    def __init__(self) -> None:
        self._are_there = find_spec("triton") is not None

    def add_semantic_map(self, q: Tensor, plan: LayerPlan, out: Tensor) -> bool:
        """Add a layer's semantic map to out in place. False: not done, use plain torch."""
        if not self._are_there or torch.compiler.is_compiling() or q.device.type != "cuda":
            return False
        switch = os.environ.get(SWITCH, "")
        if switch == "0" or torch.is_grad_enabled() or q.dtype not in DTYPES or not fits(plan):
            return False
        try:
            from .forward import add_semantic_map  # imports triton

            with torch.cuda.device(q.device):  # Triton launches on the current device
                add_semantic_map(q, plan, out)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if switch == "1":
                raise
            self._are_there = False
            logging.warning(
                "IFAdapter: its GPU kernels cannot be used here, so plain PyTorch computes the layers, which "
                "takes more launches. Results are the same. Set %s=0 to turn the kernels off without this "
                "warning. %s: %s",
                SWITCH,
                type(error).__name__,
                error,
            )
            return False
        return True


def fits(plan: LayerPlan) -> bool:
    """Whether the kernels can compute layers of these sizes."""
    weights = plan.weights
    hidden, channels = weights.squeeze.shape
    return (
        plan.bands[0].k.shape[1] <= MAX_TOKENS
        and channels // weights.heads <= MAX_HEAD_DIM
        and hidden <= MAX_HIDDEN
        and plan.logits.shape[1] - 1 <= MAX_DEPTH
        and weights.kernel.shape[-1] <= MAX_KERNEL
    )


TRITON = TritonKernels()
