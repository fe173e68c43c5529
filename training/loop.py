"""The training loop of every stage.

A resumed run ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, set_seed
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ifadapter_diffusers.randomness import seeded_generator

from .config import LoopConfig
from .finite_steps import FiniteSteps
from .optimization.optimizer import new_optimizer
from .optimization.schedule import LearningRate
from .run_state import RunState
from .stop_requests import StopRequests
from .tracking.monitor import Monitor
from .tracking.trackers import LOGS, METRICS, MetricsFile, start_trackers, tracker_names


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


def train(
    stage: Stage, config: LoopConfig, folder: Path, clock: Callable[[], float] = time.monotonic
) -> None:
    """Train a stage in ``folder``, or resume from the state saved there.

    Deterministic: everything random comes from the seed and the batch's index. A time limit
    (``config.minutes``) is the exception. It counts from here, over all resumed runs.
    clock: seconds from any start.
    Writes ``state/`` (to resume), ``weights/`` (``stage.save``), ``losses.csv``, ``loss.png``,
    ``metrics.jsonl``, ``samples/``, with held-out pictures ``held_out.csv``, and what the trackers write.

    On Ctrl-C or SIGTERM it finishes the batch, drops an unfinished step, saves, and raises
    KeyboardInterrupt. Steps whose loss or gradient is not finite are skipped.
    Raises ValueError for fp16 on the CPU, for packages that are not installed, for the state of another
    model or of more steps, or if too many steps in a row are skipped.
    """
    started = clock()
    folder.mkdir(parents=True, exist_ok=True)

    # Device and precision.
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulation,
        log_with=[MetricsFile(folder / METRICS), *tracker_names(config)],
        project_config=ProjectConfiguration(logging_dir=str(folder / LOGS)),
    )
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision is fp16, which needs a GPU. On the CPU train with bf16 or no.")
    set_seed(config.seed)

    # Optimizer of the trained weights only.
    trained = [parameter for parameter in stage.objective.parameters() if parameter.requires_grad]
    optimizer = new_optimizer(trained, config, accelerator.device)
    objective, optimizer = accelerator.prepare(stage.objective, optimizer)
    learning_rate, rate = LearningRate(config), 0.0

    # Resume from the saved state, if there is one.
    state = RunState(accelerator, stage.objective, config.ema_decay, config.keep_states)
    state.restore(folder)
    progress = state.progress
    if progress.step > config.steps:
        raise ValueError(
            f"steps is {config.steps}, but the run in {folder} has done {progress.step}. "
            "Raise steps, or choose another output."
        )
    saved = progress.step
    started -= progress.seconds  # of the runs before
    start_trackers(accelerator, folder, progress.step, getattr(stage, "settings", None) or asdict(config))

    # The remaining batches of this process: every n-th of all.
    first = progress.step * config.accumulation * accelerator.num_processes + accelerator.process_index
    last = config.steps * config.accumulation * accelerator.num_processes
    if config.minutes and progress.seconds >= 60 * config.minutes:
        last = first  # the time of a finished run
    numbers = range(first, last, accelerator.num_processes)
    loader = DataLoader(
        stage.batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        worker_init_fn=_ignore_ctrl_c,
    )

    scaled = accelerator.scaler is not None
    finite = FiniteSteps(optimizer, progress, accelerator.device, scaled, config.max_skipped + 1, folder.name)
    step_losses: list[Tensor] = []  # of the batches of the step in progress
    stopping = False
    bar = tqdm(
        total=config.steps,
        initial=progress.step,
        unit="step",
        dynamic_ncols=True,
        disable=None if accelerator.is_main_process else True,  # None: unless it is a terminal
    )
    monitor = Monitor(stage, state, folder, clock, speaks=bool(bar.disable))
    with StopRequests() as requests, bar:
        if first >= last or progress.step % config.held_out_every == 0:
            stopping = not monitor.catch_up(requests)
        for number, batch in zip(() if stopping else numbers, loader, strict=not stopping):
            # One batch. The optimizer steps at the last one of an accumulation.
            with accelerator.accumulate(objective):
                rate = learning_rate(progress.step, clock() - started)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                generator = seeded_generator(config.seed, number, device=accelerator.device)
                loss = objective(batch, generator)
                accelerator.backward(loss)
                loss = loss.detach()
                step_losses.append(
                    loss if accelerator.num_processes == 1 else accelerator.gather(loss).mean()
                )
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(trained, config.max_gradient_norm)
                    finite.step(norm, step_losses)
                    optimizer.zero_grad()

            # A stop request of any process stops all of them. An unfinished step is dropped.
            stopping = _any_process(accelerator, requests.made)
            if not accelerator.sync_gradients:
                if stopping:
                    break
                continue

            # End of an optimizer step: average, log.
            state.finish_step()
            monitor.add(step_losses, norm, rate)
            step_losses = []
            bar.update()
            seconds = clock() - started
            if progress.step % config.log_every == 0:
                finite.check()
                bar.set_postfix(loss=f"{monitor.write():.4f}", lr=f"{rate:.1e}")

            # Save and sample.
            if config.minutes:
                progress.seconds = seconds
            late = _any_process(accelerator, bool(config.minutes) and seconds >= 60 * config.minutes)
            done = late or progress.step == config.steps
            if stopping or done or progress.step % config.save_every == 0:
                finite.check()
                with monitor.paused():
                    _save(state, stage, folder)
                saved = progress.step
            if done or progress.step % config.held_out_every == 0:
                stopping = not monitor.measure_held_out(requests) or stopping
            if done or progress.step % config.sample_every == 0:
                path = folder / "samples" / f"step_{progress.step:06d}.png"
                with monitor.paused():
                    monitor.plot()
                    _sample(state, stage, path, config.seed)
            if stopping or done:
                break
        if progress.step != saved:  # stopped within a step
            finite.check()
            _save(state, stage, folder)
    accelerator.end_training()
    if stopping:
        raise KeyboardInterrupt


def _any_process(accelerator: Accelerator, here: bool) -> bool:
    """Whether a condition holds in any process. With one process the GPU need not be waited for."""
    if accelerator.num_processes == 1:
        return here
    if here:
        accelerator.set_trigger()
    return accelerator.check_trigger()


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
