"""Helpers for tests of adapter files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

import reference
from ifadapter_core import storage
from ifadapter_core.checkpoint import CheckpointError, build_adapter


def release_bytes(legacy: bool = False) -> bytes:
    """A release checkpoint as saved by torch. legacy: in torch's format before version 1.6."""
    buffer = io.BytesIO()
    torch.save(reference.make_release_checkpoint(4), buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def tokens_of(path: Path) -> torch.Tensor:
    """Instance tokens of fixed inputs, encoded by the adapter in a file."""
    generator = torch.Generator().manual_seed(0)
    phrase_embeds, eot_embeds = (
        torch.randn(2, 3, 9, 24, generator=generator),
        torch.randn(2, 24, generator=generator),
    )
    boxes = torch.tensor([[0.1, 0.2, 0.3, 0.9], [0.0, 0.0, 1.0, 1.0]])
    tokens = build_adapter(storage.load_weights(path)).encode_instances(
        phrase_embeds, torch.ones(2, 9), eot_embeds, boxes
    )
    return torch.cat([tokens.cond, tokens.uncond])


def refusal_of(path: Path) -> str:
    """The error message of a file that is rejected."""
    with pytest.raises(CheckpointError) as caught:
        storage.load_weights(path)
    return str(caught.value)
