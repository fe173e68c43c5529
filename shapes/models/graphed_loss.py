"""A loss and its gradients as CUDA graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn


class GraphedLoss:
    """Calls a loss; on a GPU it replays CUDA graphs of the forward and the backward pass.

    A step of a small model has thousands of short kernels. Launching them one by one takes several
    times as long as running them.

    The graphs are captured at the first call with gradients. All calls need the same shapes, and the
    loss must neither draw random numbers nor wait for the GPU. If it cannot be captured, a warning
    says so, and it is called as it is.

    weights: the module whose parameters get gradients.
    loss: tensors, without gradients -> loss ().
    enabled: False calls the loss as it is.
    """

    def __init__(self, weights: nn.Module, loss: Callable[..., Tensor], enabled: bool = True) -> None:
        self.enabled = enabled
        self._call = _Call(weights, loss)

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self.enabled and inputs[0].is_cuda and torch.is_grad_enabled():
            self.enabled = False  # captures once
            self._capture(inputs)
        return self._call(*inputs)

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        # A graph must not use the casts of weights that autocast keeps between calls.
        precision = torch.autocast(
            "cuda", torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda"), cache_enabled=False
        )
        try:
            with precision:
                torch.cuda.make_graphed_callables(self._call, inputs, allow_unused_input=True)
        except Exception as error:
            torch.cuda.synchronize()
            logging.warning("The training step runs without CUDA graphs: %s", error)


class _Call(nn.Module):
    """The loss as a module, which is what ``make_graphed_callables`` takes."""

    def __init__(self, weights: nn.Module, loss: Callable[..., Tensor]) -> None:
        super().__init__()
        self.weights = weights
        self.loss = loss

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.loss(*inputs)
