"""Helpers for tests of checkpoint contents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import reference
from ifadapter_core.checkpoint import CheckpointError, read_checkpoint

Data = dict[str, Any]


def release(seed: int = 0, **sizes: Any) -> reference.Checkpoint:
    return reference.make_release_checkpoint(seed, **sizes)


def flatten(data: reference.Checkpoint) -> dict[str, torch.Tensor]:
    return {f"{part}.{key}": value for part, content in data.items() for key, value in content.items()}


def message_of(data: Any, metadata: dict[str, str] | None = None) -> str:
    """The error message of contents that are rejected."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(data, metadata)
    return str(caught.value)
