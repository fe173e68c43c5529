"""Checks of single tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor

NOT_PLAIN = "not stored as plain numbers (sparse, repeated or without data)"
NOT_FLOATING = "not a floating-point tensor"


def is_weight(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.is_floating_point() and not value.is_nested


def not_floating(given: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """The keys of values that are no tensors, or not of a floating-point type, with what they are."""
    return [
        f"{key} ({_type_of(value)})" for key in keys if key in given and not is_weight(value := given[key])
    ]


def _type_of(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__


def not_plain(given: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """The keys of tensors that claim numbers which are not in memory, one by one."""
    return [key for key in keys if isinstance(value := given.get(key), Tensor) and not _is_plain(value)]


def _is_plain(tensor: Tensor) -> bool:
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def extremes_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The least and the largest value (2,) of each tensor; NaN if any value is NaN."""

    def extremes(tensor: Tensor) -> Tensor:
        wide = tensor if tensor.element_size() > 1 else tensor.float()  # no aminmax for float8
        return torch.stack(wide.detach().aminmax())

    return {name: extremes(tensor) for name, tensor in tensors.items()}


def non_finite(extremes: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> list[str]:
    """Names of the tensors with values that are NaN or infinite in a type. extremes: see ``extremes_of``."""
    return [name for name, values in extremes.items() if not values.to(dtype).isfinite().all()]
