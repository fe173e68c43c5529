"""Checks of single tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor


def is_weight(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def is_plain(tensor: Tensor) -> bool:
    """Whether each number of the tensor is in memory, on the CPU."""
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors with NaN or infinite values."""

    def extremes(tensor: Tensor) -> Tensor:  # NaN if any value is NaN
        wide = tensor if tensor.element_size() > 1 else tensor.float()  # no aminmax for float8
        return torch.stack(wide.detach().aminmax())

    return [name for name, tensor in tensors.items() if not extremes(tensor).isfinite().all()]
