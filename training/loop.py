"""The loop of every training stage: steps, precision, accumulation, moving average, saving, going on, and what is seen of it."""

from __future__ import annotations

import csv
import math
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ifadapter_diffusers.randomness import seeded_generator

LOG_EVERY = 10  # steps
TRAINED = "trained.safetensors"


@dataclass(frozen=True)
class LoopConfig:
    """How a stage is trained.

    steps: of the optimizer, in all. learning_rate: after ``warmup`` steps; it stays, or falls to zero like a cosine.
    accumulation: batches for each step. ema_decay: of the moving average of the weights, which is what is kept; 0 = none.
    save_every, sample_every: steps. workers: processes that make batches beside the training.
    """

    steps: int
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: int = 0
    schedule: Literal["constant", "cosine"] = "constant"
    accumulation: int = 1
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    max_gradient_norm: float = 1.0
    ema_decay: float = 0.999
    save_every: int = 500
    sample_every: int = 1000
    workers: int = 0
    seed: int = 0


class Stage(Protocol):
    """What is trained, and on what."""

    objective: nn.Module
    """forward(batch, generator) -> loss (). Only its parameters that require gradients are trained."""

    batches: Dataset[Any]
    """number -> the batch of that number, always the same. Batch k belongs to the k-th micro step over all processes."""

    def sheet(self, generator: torch.Generator) -> Image.Image:
        """Samples of the present weights."""

    def save(self, folder: Path) -> None:
        """Write the trained weights as those use them that come after."""


class _Progress:
    """What is kept with the state: the step that a run has reached, and the losses that no row of ``losses.csv`` tells yet."""

    def __init__(self) -> None:
        self.step = 0
        self.losses: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "losses": [loss.item() for loss in self.losses]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.losses = [torch.tensor(loss) for loss in state.get("losses", [])]


def learning_rate(config: LoopConfig, step: int) -> float:
    """Of step 0, 1, .."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def train(stage: Stage, config: LoopConfig, folder: Path) -> None:
    """Train a stage in ``folder``, going on from the state that is there.

    Everything random comes from the seed and the number of the batch, so a run that was stopped ends as one that was not.
    Writes ``state/`` (to go on from), ``weights/`` (by ``stage.save``), ``losses.csv``, ``loss.png`` and ``samples/``.

    Ctrl-C or SIGTERM: the present step is finished, the state is saved, and KeyboardInterrupt is raised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(
        mixed_precision=config.mixed_precision, gradient_accumulation_steps=config.accumulation
    )
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision is fp16, which needs a GPU. On the CPU train with bf16 or no.")
    set_seed(config.seed)
    trained = [parameter for parameter in stage.objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=config.weight_decay)
    objective, optimizer = accelerator.prepare(stage.objective, optimizer)
    average = EMAModel(trained, decay=config.ema_decay, foreach=True) if config.ema_decay else None
    progress = _Progress()
    accelerator.register_for_checkpointing(*filter(None, (progress, average)))
    _keep_trained_weights_only(accelerator, stage.objective)
    for state in (
        folder / "state",
        folder / "state.old",
    ):  # the old one when a run was killed while it put the new one in its place
        if state.is_dir():
            accelerator.load_state(str(state))
            accelerator.step = 0  # states are of whole steps of the optimizer
            break
    if average:
        average.to(accelerator.device)
    losses = _Losses(folder / "losses.csv", progress, accelerator.is_main_process)

    first = progress.step * config.accumulation * accelerator.num_processes + accelerator.process_index
    last = config.steps * config.accumulation * accelerator.num_processes
    numbers = range(first, last, accelerator.num_processes)
    loader = DataLoader(
        stage.batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        worker_init_fn=_leave_ctrl_c_to_the_training,
    )
    stopping = False
    with (
        _stop_requests() as stops,
        tqdm(
            total=config.steps,
            initial=progress.step,
            unit="step",
            dynamic_ncols=True,
            disable=not accelerator.is_main_process,
        ) as bar,
    ):
        for number, batch in zip(numbers, loader, strict=True):
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
            if average:
                average.step(trained)
            progress.step += 1
            bar.update()
            if progress.step % LOG_EVERY == 0:
                bar.set_postfix(
                    loss=f"{losses.write():.4f}", lr=f"{learning_rate(config, progress.step):.1e}"
                )
            if stops:
                accelerator.set_trigger()
            stopping = accelerator.check_trigger()  # by any of the processes
            if stopping or progress.step % config.save_every == 0 or progress.step == config.steps:
                _save(accelerator, stage, average, trained, folder)
            if progress.step % config.sample_every == 0 or progress.step == config.steps:
                losses.plot(folder / "loss.png")
                if accelerator.is_main_process:
                    _sample(
                        stage,
                        average,
                        trained,
                        folder / "samples" / f"step_{progress.step:06d}.png",
                        config.seed,
                    )
            if stopping:
                break
    accelerator.end_training()
    if stopping:
        raise KeyboardInterrupt


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Within it Ctrl-C and SIGTERM only add to the list: a step is never left half done."""
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


def _leave_ctrl_c_to_the_training(worker: int) -> None:
    """The batches of the step that is being finished are still needed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _save(
    accelerator: Accelerator,
    stage: Stage,
    average: EMAModel | None,
    trained: list[nn.Parameter],
    folder: Path,
) -> None:
    """The state to go on from, never half written; and the averaged weights."""
    new, state, old = folder / "state.new", folder / "state", folder / "state.old"
    accelerator.save_state(str(new))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if state.exists():
            shutil.rmtree(old, ignore_errors=True)
            state.replace(old)
        new.replace(state)
        shutil.rmtree(old, ignore_errors=True)
        with _averaged(average, trained):
            stage.save(folder / "weights")
    accelerator.wait_for_everyone()


def _keep_trained_weights_only(accelerator: Accelerator, objective: nn.Module) -> None:
    """A frozen base model is no part of the state."""
    trained = {name: parameter for name, parameter in objective.named_parameters() if parameter.requires_grad}

    def save(models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        weights.clear()
        if accelerator.is_main_process:
            save_file(
                {name: parameter.detach().contiguous() for name, parameter in trained.items()},
                Path(folder) / TRAINED,
            )

    def load(models: list[nn.Module], folder: str) -> None:
        models.clear()
        stored = load_file(Path(folder) / TRAINED)
        if {name: weight.shape for name, weight in stored.items()} != {
            name: parameter.shape for name, parameter in trained.items()
        }:
            raise ValueError(
                f"The run in {Path(folder).parent} is of another model. Choose another output, or remove that folder."
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(stored[name])

    accelerator.register_save_state_pre_hook(save)
    accelerator.register_load_state_pre_hook(load)


def _sample(
    stage: Stage, average: EMAModel | None, trained: list[nn.Parameter], path: Path, seed: int
) -> None:
    path.parent.mkdir(exist_ok=True)
    with _averaged(average, trained), torch.no_grad():
        stage.sheet(seeded_generator(seed)).save(path)


@contextmanager
def _averaged(average: EMAModel | None, trained: list[nn.Parameter]) -> Iterator[None]:
    """Within it the trained parameters hold their moving average."""
    if average is None:
        yield
        return
    average.store(trained)
    average.copy_to(trained)
    try:
        yield
    finally:
        average.restore(trained)


class _Losses:
    """The mean loss of every few steps, in a file of two columns."""

    def __init__(self, path: Path, progress: _Progress, writes: bool) -> None:
        self.path, self.progress, self.writes = path, progress, writes
        if writes:
            rows = [row for row in self._rows() if int(row[0]) <= progress.step]
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([("step", "loss"), *rows])

    def add(self, loss: Tensor) -> None:
        self.progress.losses.append(loss)

    def write(self) -> float:
        mean = torch.stack([loss.cpu() for loss in self.progress.losses]).mean().item()
        self.progress.losses.clear()
        if self.writes:
            with self.path.open("a", newline="") as file:
                csv.writer(file).writerow((self.progress.step, f"{mean:.6f}"))
        return mean

    def plot(self, path: Path) -> None:
        rows = [(int(step), float(loss)) for step, loss in self._rows()] if self.writes else []
        if not rows:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(*zip(*rows, strict=True), linewidth=0.5, alpha=0.4)
        smooth, mean = [], rows[0][1]
        for _, loss in rows:
            mean += 0.05 * (loss - mean)
            smooth.append(mean)
        axes.plot([step for step, _ in rows], smooth)
        axes.set(xlabel="step", ylabel="loss", yscale="log")
        figure.savefig(path, dpi=100)

    def _rows(self) -> list[list[str]]:
        """Without the head, as they stand there: what is written again stays the same."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.reader(file))[1:]
