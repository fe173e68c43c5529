"""Runs of the toy stage: with an event at a chosen batch, and everything that they leave behind."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tiny_models import Toy
from training.config import LoopConfig

CONFIG = LoopConfig(
    steps=27, learning_rate=0.05, warmup=5, schedule="cosine", ema_decay=0.5, save_every=9, sample_every=1000
)


class EventAt(Toy):
    """Calls ``event`` before the forward pass of one batch."""

    def __init__(self, batch: int, event: Any) -> None:
        super().__init__()
        self.objective.register_forward_pre_hook(lambda _, given: event() if given[0][0] == batch else None)


def request_stop() -> None:
    signal.raise_signal(signal.SIGINT)


def crash() -> None:
    raise RuntimeError("power cut")


def result(folder: Path) -> dict[str, Any]:
    """Everything a run leaves: weights, average, optimizer, progress, and the bytes of ``losses.csv``."""
    optimizer = torch.load(folder / "state" / "optimizer.bin")
    average = torch.load(folder / "state" / "custom_checkpoint_1.pkl")
    return {
        **load_file(folder / "state" / "trained.safetensors"),
        "line": torch.load(folder / "weights" / "line.pt"),
        **{f"average {number}": tensor for number, tensor in enumerate(average["shadow_params"])},
        **{
            f"optimizer {number} {key}": value
            for number, entry in optimizer["state"].items()
            for key, value in entry.items()
        },
        "losses": (folder / "losses.csv").read_bytes(),
        "progress": torch.load(folder / "state" / "custom_checkpoint_0.pkl"),
    }


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Exact equality of two results."""
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]) if isinstance(value, Tensor) else value == b[key], key


def saved_step(folder: Path) -> int:
    """The step of the saved state."""
    return torch.load(folder / "state" / "custom_checkpoint_0.pkl")["step"]
