"""Checks of single tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

NOT_PLAIN = "not stored as plain numbers (sparse, repeated or without data)"


def is_weight(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point()


def not_plain(given: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """The keys of tensors that claim numbers which are not in memory, one by one."""
    return [key for key in keys if isinstance(value := given.get(key), Tensor) and not _is_plain(value)]


def _is_plain(tensor: Tensor) -> bool:
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors with NaN or infinite values."""

    def extremes(tensor: Tensor) -> Tensor:  # NaN if any value is NaN
        wide = tensor if tensor.element_size() > 1 else tensor.float()  # no aminmax for float8
        return torch.stack(wide.detach().aminmax())

    return [name for name, tensor in tensors.items() if not extremes(tensor).isfinite().all()]
