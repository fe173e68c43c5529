"""Script for `accelerate launch`: a few steps of a tiny adapter. Prints which process saves and samples.

Arguments: folder of the tokenizer, folder of the run, accumulation.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from held_out_latents import HeldOutLatents

import training.adapter_stage
from tiny_models import Batches, adapter_stage
from training.config import LoopConfig
from training.loop import train
from training.objective.held_out import HeldOutLoss


def run(tokenizer: Path, folder: Path, accumulation: int) -> None:
    config = LoopConfig(
        steps=3,
        learning_rate=1e-3,
        accumulation=accumulation,
        ema_decay=0.9,
        save_every=2,
        sample_every=1000,
        log_every=3,
        held_out_every=3,
    )
    training.adapter_stage.STEPS = 2
    stage = adapter_stage(tokenizer)
    stage.batches = Batches(empty=(3,))  # without instances in one of two processes
    stage.held_out_loss = HeldOutLoss(stage.objective, HeldOutLatents(), 2)
    for name in ("save", "sheet"):
        setattr(stage, name, announced(name, getattr(stage, name)))
    train(stage, config, folder)


def announced(name: str, action: Any) -> Any:
    def act(*given: Any) -> Any:
        sys.stdout.write(f"{name}:{os.environ.get('RANK')}\n")
        return action(*given)

    return act


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
