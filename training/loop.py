"""The training loop of every stage.

A resumed run ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import send_to_device, set_seed
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ifadapter_diffusers.randomness import seeded_generator

from .config import LoopConfig
from .finite_steps import FiniteSteps
from .optimization.schedule import LearningRate
from .processes.group import Processes
from .processes.launch import new_accelerator, weights_of
from .run_state import RunState
from .state_files import flush
from .stop_requests import StopRequests
from .tracking.monitor import Monitor
from .tracking.trackers import LOGS, METRICS, MetricsFile, start_trackers, tracker_names
from .whole_files import write_whole

WEIGHTS_STEP = "weights_step.txt"


class Stage(Protocol):
    """A model to train, its data and its outputs."""

    @property
    def objective(self) -> nn.Module:
        """forward(batch, generator) -> loss (). Trained: its parameters that require gradients."""

    @property
    def batches(self) -> Dataset[Any]:
        """Index -> batch, deterministic. The index counts over all processes and accumulation steps."""

    def sheet(self, generator: torch.Generator, processes: Processes) -> Image.Image:
        """Samples of the current weights. All processes call it, and may share the work."""

    def save(self, folder: Path) -> None:
        """Write the current weights in the format in which they are used."""


def train(
    stage: Stage,
    config: LoopConfig,
    folder: Path,
    clock: Callable[[], float] = time.monotonic,
    record: Callable[[], None] = lambda: None,
) -> None:
    """Train a stage in ``folder``, or resume from the state saved there.

    Deterministic: everything random comes from the seed and the batch's index. A time limit
    (``config.minutes``) is the exception. It counts from here, over all resumed runs.
    clock: seconds from any start.
    record: keeps the run's settings. It is called when a new run starts and after each saved state, so a
    run that cannot resume keeps the settings of its states.
    Writes ``state/`` (to resume), ``weights/`` (``stage.save``) and ``weights_step.txt``, ``losses.csv``,
    ``loss.png``, ``metrics.jsonl``, ``samples/``, with held-out pictures ``held_out.csv``, and what the
    trackers write. A finished run writes what is missing of its end.

    On Ctrl-C or SIGTERM one process finishes the batch and drops an unfinished step; several finish the
    step. Then it saves, and raises KeyboardInterrupt. Steps whose loss or gradient is not finite are
    skipped.
    Raises ValueError for fp16 on the CPU, for packages that are not installed, for the state of another
    model or of more steps, or if too many steps in a row are skipped.
    """
    started = clock()
    folder.mkdir(parents=True, exist_ok=True)

    # Device, precision, processes. The optimizer is of the trained weights only.
    trackers = [MetricsFile(folder / METRICS), *tracker_names(config)]
    accelerator = new_accelerator(config, folder / LOGS, trackers)
    processes = Processes(accelerator)
    set_seed(config.seed)
    named = stage.objective.named_parameters()
    shapes = {name: weight.shape for name, weight in named if weight.requires_grad}
    weights = weights_of(accelerator)
    objective, optimizer = weights.prepare(stage.objective, config)
    learning_rate, rate = LearningRate(config), 0.0

    # Resume from the saved state, if there is one.
    state = RunState(weights, shapes, config)
    state.restore(folder)
    progress = state.progress
    if progress.step > config.steps:
        raise ValueError(
            f"steps is {config.steps}, but the run in {folder} has done {progress.step}. "
            "Raise steps, or choose another output."
        )
    if not progress.step:
        record()
    save = partial(_save, state, stage, folder, record)
    saved = progress.step
    started -= progress.seconds  # of the runs before
    start_trackers(accelerator, folder, progress.step, getattr(stage, "settings", None) or asdict(config))

    # The remaining batches of this process: every n-th of all.
    first = progress.step * config.accumulation * accelerator.num_processes + accelerator.process_index
    last = config.steps * config.accumulation * accelerator.num_processes
    if config.minutes and progress.seconds >= 60 * config.minutes:
        last = first  # the time of a finished run
    finished = first >= last
    if finished and accelerator.is_main_process:
        more = " or minutes" if config.minutes else ""
        sys.stdout.write(
            f"{folder} is finished, at step {progress.step}. To continue it, raise steps{more}.\n"
        )
    numbers = range(first, last, accelerator.num_processes)
    loader = _loader(stage.batches, numbers, config, pinned=accelerator.device.type == "cuda")

    finite = FiniteSteps(weights, progress, processes, config.max_skipped + 1, folder.name)
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
        # A finished run that was killed after its last state: write what is missing.
        if finished and processes.any(processes.is_main and _weights_step(folder) != progress.step)[0]:
            _save_weights(state, stage, folder)
        if finished or progress.step % config.held_out_every == 0:
            stopping = not monitor.catch_up(requests)
        no_sheet = processes.is_main and not _sheet_path(state, folder).exists()
        if finished and not stopping and processes.any(no_sheet)[0]:
            _sample(state, stage, folder, config.seed, monitor)
        for number, batch in zip(() if stopping else numbers, loader, strict=not stopping):
            # One batch. The optimizer steps at the last one of an accumulation.
            batch = send_to_device(batch, accelerator.device, non_blocking=True)
            with accelerator.accumulate(objective):
                rate = learning_rate(progress.step, clock() - started)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                generator = seeded_generator(config.seed, number, device=accelerator.device)
                loss = objective(batch, generator)
                accelerator.backward(loss)
                step_losses.append(loss.detach())
                if accelerator.sync_gradients:
                    norm = weights.clip(config.max_gradient_norm)
                    finite.step(norm, step_losses)
                    optimizer.zero_grad()

            # A stop request ends one process here, and several of them at the end of their step: processes
            # that ask one another wait for one another.
            if not accelerator.sync_gradients:
                if processes.count == 1 and requests.made:
                    stopping = True
                    break  # the unfinished step is dropped
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
            late = bool(config.minutes) and seconds >= 60 * config.minutes
            stopping, late = processes.any(requests.made, late)
            done = late or progress.step == config.steps
            if stopping or done or progress.step % config.save_every == 0:
                finite.check()
                with monitor.paused():
                    save()
                saved = progress.step
            if done or progress.step % config.held_out_every == 0:
                stopping = not monitor.measure_held_out(requests) or stopping
            if done or progress.step % config.sample_every == 0:
                _sample(state, stage, folder, config.seed, monitor)
            if stopping or done:
                break
        if progress.step != saved:  # stopped within a step
            finite.check()
            save()
    accelerator.end_training()
    if stopping:
        raise KeyboardInterrupt


def _loader(
    batches: Dataset[Any], numbers: Sequence[int], config: LoopConfig, pinned: bool
) -> DataLoader[Any]:
    """The batches of these numbers, loaded ahead by ``config.workers`` processes.

    pinned: in memory from which a GPU copies without waiting.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        worker_init_fn=_ignore_ctrl_c,
        pin_memory=pinned,
        generator=seeded_generator(config.seed),  # of the workers' seeds
    )


def _ignore_ctrl_c(worker: int) -> None:
    """Ignore Ctrl-C in data loader processes: the current step needs their batches.

    Restores the default of SIGTERM, by which the main process ends them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _save(state: RunState, stage: Stage, folder: Path, record: Callable[[], None]) -> None:
    """Save the state, and the averaged weights for use."""
    state.save(folder)
    record()
    _save_weights(state, stage, folder)


def _save_weights(state: RunState, stage: Stage, folder: Path) -> None:
    """Write the averaged weights for use, then the step that they are of."""
    weights, step = folder / "weights", folder / WEIGHTS_STEP
    with state.for_use():
        if state.processes.is_main:
            step.unlink(missing_ok=True)  # while they are written, they are of no step
            stage.save(weights)
            flush(weights)
            write_whole(step, f"{state.progress.step}\n")
    state.processes.wait()


def _weights_step(folder: Path) -> int | None:
    """The step of the weights for use; None if it is not known, or if they are not whole."""
    path = folder / WEIGHTS_STEP
    if not path.exists() or not (folder / "weights").is_dir():
        return None
    text = path.read_text("utf-8").strip()
    return int(text) if text.isdecimal() else None


def _sheet_path(state: RunState, folder: Path) -> Path:
    return folder / "samples" / f"step_{state.progress.step:06d}.png"


def _sample(state: RunState, stage: Stage, folder: Path, seed: int, monitor: Monitor) -> None:
    """Plot the losses, and save a sample sheet of the averaged weights."""
    with monitor.paused():
        monitor.plot()
        sheet = state.evaluate(lambda: stage.sheet(seeded_generator(seed), state.processes))
        if state.processes.is_main:
            path, content = _sheet_path(state, folder), BytesIO()
            path.parent.mkdir(exist_ok=True)
            sheet.save(content, format="PNG")
            write_whole(path, content.getvalue())
