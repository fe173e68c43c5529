"""The training loop of every stage.

A resumed run ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ifadapter_diffusers.randomness import seeded_generator

from .config import LoopConfig
from .loss_log import LossLog
from .run_state import RunState

LOG_EVERY = 10  # steps


class Stage(Protocol):
    """A model to train, its data and its outputs."""

    @property
    def objective(self) -> nn.Module:
        """forward(batch, generator) -> loss (). Trained: its parameters that require gradients."""

    @property
    def batches(self) -> Dataset[Any]:
        """Index -> batch, deterministic. The index counts over all processes and accumulation steps."""

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Samples of the current weights."""

    def save(self, folder: Path) -> None:
        """Write the current weights in the format in which they are used."""


def learning_rate(config: LoopConfig, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def train(stage: Stage, config: LoopConfig, folder: Path) -> None:
    """Train a stage in ``folder``, or resume from the state saved there.

    Deterministic: everything random comes from the seed and the batch's index.
    Writes ``state/`` (to resume), ``weights/`` (``stage.save``), ``losses.csv``, ``loss.png`` and
    ``samples/``.

    On Ctrl-C or SIGTERM it finishes the step, saves, and raises KeyboardInterrupt.
    Raises ValueError for fp16 on the CPU, or for the state of another model.
    """
    folder.mkdir(parents=True, exist_ok=True)

    # Device and precision.
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision, gradient_accumulation_steps=config.accumulation
    )
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision is fp16, which needs a GPU. On the CPU train with bf16 or no.")
    set_seed(config.seed)

    # Optimizer of the trained weights only.
    trained = [parameter for parameter in stage.objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    objective, optimizer = accelerator.prepare(stage.objective, optimizer)

    # Resume from the saved state, if there is one.
    state = RunState(accelerator, stage.objective, config.ema_decay)
    state.restore(folder)
    progress = state.progress
    losses = LossLog(folder / "losses.csv", progress, accelerator.is_main_process)

    # The remaining batches of this process: every n-th of all.
    first = progress.step * config.accumulation * accelerator.num_processes + accelerator.process_index
    last = config.steps * config.accumulation * accelerator.num_processes
    numbers = range(first, last, accelerator.num_processes)
    loader = DataLoader(
        stage.batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        worker_init_fn=_ignore_ctrl_c,
    )

    stopping = False
    bar = tqdm(
        total=config.steps,
        initial=progress.step,
        unit="step",
        dynamic_ncols=True,
        disable=not accelerator.is_main_process,
    )
    with _stop_requests() as requests, bar:
        for number, batch in zip(numbers, loader, strict=True):
            # One batch. The optimizer steps at the last one of an accumulation.
            with accelerator.accumulate(objective):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(config, progress.step)
                loss = objective(batch, seeded_generator(config.seed, number))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(trained, config.max_gradient_norm)
                optimizer.step()
                optimizer.zero_grad()
            losses.add(accelerator.gather(loss.detach()).mean())
            if not accelerator.sync_gradients:
                continue

            # End of an optimizer step: average, log.
            state.finish_step()
            bar.update()
            if progress.step % LOG_EVERY == 0:
                rate = learning_rate(config, progress.step)
                bar.set_postfix(loss=f"{losses.write_row():.4f}", lr=f"{rate:.1e}")

            # Save and sample. A stop request of any process stops all of them, after saving.
            if requests:
                accelerator.set_trigger()
            stopping = accelerator.check_trigger()
            done = progress.step == config.steps
            if stopping or done or progress.step % config.save_every == 0:
                _save(state, stage, folder)
            if done or progress.step % config.sample_every == 0:
                losses.plot(folder / "loss.png")
                path = folder / "samples" / f"step_{progress.step:06d}.png"
                _sample(state, stage, path, config.seed)
            if stopping:
                break
    accelerator.end_training()
    if stopping:
        raise KeyboardInterrupt


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Context in which Ctrl-C and SIGTERM only add to the list, so that steps are finished."""
    requests: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: requests.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield requests
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ignore_ctrl_c(worker: int) -> None:
    """Ignore Ctrl-C in data loader processes: the current step needs their batches.

    Restores the default of SIGTERM, by which the main process ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _save(state: RunState, stage: Stage, folder: Path) -> None:
    """Save the state, and the averaged weights for use."""
    state.save(folder)
    if state.accelerator.is_main_process:
        with state.averaged_weights():
            stage.save(folder / "weights")
    state.accelerator.wait_for_everyone()


def _sample(state: RunState, stage: Stage, path: Path, seed: int) -> None:
    """Save a sample sheet of the averaged weights. No-op except in the main process."""
    if not state.accelerator.is_main_process:
        return
    path.parent.mkdir(exist_ok=True)
    with state.averaged_weights(), torch.no_grad():
        stage.sheet(seeded_generator(seed)).save(path)
