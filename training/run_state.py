"""The saved state of a run, from which it resumes as if it had never stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.checkpointing import (
    load_accelerator_state,
    load_custom_state,
    save_accelerator_state,
    save_custom_state,
)
from accelerate.utils import SCALER_NAME
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from ifadapter_core.weights.errors import listed
from ifadapter_core.weights.tensors import non_finite

from .config import LoopConfig
from .optimization.optimizer import apply_settings
from .processes.group import Processes
from .processes.weights import WholeWeights
from .state_files import OtherStateError, check_whole, flush, rotate, saved_states

TRAINED = "trained.safetensors"
PROGRESS, AVERAGE = 0, 1  # numbers of the files custom_checkpoint_N.pkl

Result = TypeVar("Result")


class Progress:
    """The optimizer steps done, and the losses not yet written to ``losses.csv``.

    seconds: time that the finished steps took; counted only in runs with a time limit.
    skipped: steps whose loss or gradient was not finite; they count as done.
    losses: of the batches of this process; while a state is saved, the main process has those of all.
    averaged: whether the state has a moving average.
    """

    def __init__(self) -> None:
        self.step = 0
        self.averaged = False
        self.skipped = 0
        self.seconds = 0.0
        self.losses: list[Tensor] = []

    def collect(self, processes: Processes) -> None:
        """Move the losses of all processes to the main one. Their mean stays the same."""
        values = processes.numbers([loss.item() for loss in self.losses])
        self.losses = [torch.tensor(value) for value in values]

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "skipped": self.skipped,
            "seconds": self.seconds,
            "losses": [loss.item() for loss in self.losses],
            "averaged": self.averaged,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """States of earlier versions lack some values."""
        self.step = state["step"]
        self.skipped = state.get("skipped", 0)
        self.seconds = state.get("seconds", 0.0)
        self.averaged = state.get("averaged", False)
        self.losses = [torch.tensor(loss) for loss in state.get("losses", [])]


class RunState:
    """The state of a run: trained weights, moving average, optimizer, random states, progress.

    Its files have whole weights, however these are divided between the processes, and no frozen ones.
    All processes must call the methods together. Create it after ``weights.prepare``.

    weights: how the weights are divided.
    shapes: of the parameters of the objective that are trained, by name, as they are saved.
    config: its settings win over those with which a loaded state was saved.
    average: exponential moving average of this process's part of them, or None.
    """

    def __init__(self, weights: WholeWeights, shapes: dict[str, torch.Size], config: LoopConfig) -> None:
        self.weights, self.shapes, self.config = weights, shapes, config
        self.accelerator = weights.accelerator
        self.processes = Processes(self.accelerator)
        self.trained = dict(zip(shapes, weights.trained(), strict=True))
        self.average = self._new_average() if config.ema_decay else None
        self.progress = Progress()

    def _parts(self) -> list[Tensor]:
        """What this process holds of the trained weights."""
        return [self.weights.part(weight) for weight in self.trained.values()]

    def _new_average(self) -> EMAModel:
        """An average that begins with the current weights."""
        return EMAModel(self._parts(), decay=self.config.ema_decay, foreach=True)

    def finish_step(self) -> None:
        """Count an optimizer step and update the moving average."""
        if self.average:
            self.average.step(self._parts())
        self.progress.step += 1

    def restore(self, folder: Path) -> None:
        """Load the state in ``folder``; no-op without one.

        Raises ValueError for the state of another model, or for a damaged state, naming its file.
        """
        if states := saved_states(folder):
            self._load(*states[:2])
        if self.average:
            self.average.to(self.accelerator.device)

    def _load(self, state: Path, before: Path | None = None) -> None:
        """before: an older state, for the error message."""
        path = state
        try:
            for path in sorted(state.rglob("*")):
                check_whole(path)
            path = state
            self._read(state)
        except (OtherStateError, PermissionError, MemoryError, torch.OutOfMemoryError):
            raise  # the state is sound
        except Exception as error:  # of torch, safetensors, zipfile and accelerate
            way_out = (
                f"Remove {state}; the same command then resumes from {before}."
                if before
                else f"Replace {state} by a copy, or remove it to start over, which also replaces weights/."
            )
            raise ValueError(
                f"{path} is damaged ({error}), for example by a crash or a full disk. {way_out}"
            ) from error

    def save(self, folder: Path) -> None:
        """Atomic save: write ``state.new`` to the disk, then rename it to ``state``.

        Raises OSError if it cannot be written, ValueError if the weights are not finite; the states
        before are kept.
        """
        self._check_finite(folder)
        self.progress.collect(self.processes)
        new = folder / "state.new"
        if self.processes.is_main:
            shutil.rmtree(new, ignore_errors=True)  # left by a crash
            new.mkdir(parents=True)
        self.processes.wait()
        try:
            self._write(new)
        except Exception as error:  # of torch and safetensors, for example on a full disk
            raise OSError(
                f"{new} cannot be written ({error}). {folder / 'state'} is kept. "
                "Make room on the disk; the same command then resumes."
            ) from error
        self.processes.wait()
        if self.processes.is_main:
            flush(new)
            rotate(folder, self.config.keep_states)

    def _check_finite(self, folder: Path) -> None:
        averages = self.average.shadow_params if self.average else ()
        tensors = dict(zip(self.trained, self._parts(), strict=True))
        tensors |= {f"average {number}": tensor for number, tensor in enumerate(averages)}
        bad = non_finite({name: tensor.detach() for name, tensor in tensors.items()})
        if self.processes.any(bool(bad))[0]:
            where = listed(bad) if bad else "the part of another process"
            raise ValueError(
                f"Nothing is saved: NaN or infinite weights in {where}. The states in {folder} are "
                "kept. Lower learning_rate; the same command then resumes."
            )

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Context in which the trained parameters hold their moving average, if there is one."""
        if self.average is None:
            yield
            return
        self.average.store(self._parts())
        self.average.copy_to(self._parts())
        try:
            yield
        finally:
            self.average.restore(self._parts())

    def evaluate(self, function: Callable[[], Result]) -> Result:
        """Call a function that uses the modules with the averaged weights, without gradients."""
        with self.averaged_weights(), torch.no_grad():
            return self.weights.run(function)

    @contextmanager
    def for_use(self) -> Iterator[None]:
        """Context in which the modules of the main process hold the averaged weights, whole."""
        with self.averaged_weights(), self.weights.gathered(self._whole()):
            yield

    def _whole(self) -> dict[str, Tensor]:
        """The trained weights as they are saved, on the CPU if they are divided; for the main process."""
        return {
            name: self._gather(self.weights.part(weight), name).detach()
            for name, weight in self.trained.items()
        }

    def _gather(self, part: Tensor, name: str) -> Tensor:
        whole = self.weights.whole(part, self.trained[name]).reshape(self.shapes[name])
        if not self.weights.divides:
            return whole
        return whole.cpu() if self.processes.is_main else whole.new_zeros(0)

    def _write(self, folder: Path) -> None:
        """Write the files of a state."""
        accelerator = self.accelerator
        tensors = {name: tensor.contiguous() for name, tensor in self._whole().items()}
        if self.processes.is_main:
            save_file(tensors, folder / TRAINED)
        save_accelerator_state(
            str(folder),
            [],
            self.weights.optimizers,
            [],
            [],
            accelerator.process_index,
            accelerator.step,
            accelerator.scaler,
        )
        self.progress.averaged = self.average is not None
        save_custom_state(self.progress, folder, PROGRESS)
        if self.average:
            save_custom_state(_WholeAverage(self, self.average), folder, AVERAGE)
        self.weights.save(folder)

    def _read(self, folder: Path) -> None:
        """Read the files of a state: the counterpart of ``_write``. The config may ask for others."""
        self.weights.check(folder)
        self._load_weights(folder)
        load_accelerator_state(
            str(folder),
            [],
            self.weights.optimizers,
            [],
            [],
            self.accelerator.process_index,
            self.accelerator.scaler if (folder / SCALER_NAME).exists() else None,
        )
        load_custom_state(self.progress, folder, PROGRESS)
        if not self.processes.is_main:
            self.progress.losses.clear()
        if self.average and (
            self.progress.averaged or (folder / f"custom_checkpoint_{AVERAGE}.pkl").exists()
        ):
            load_custom_state(_WholeAverage(self, self.average), folder, AVERAGE)
            self.average.decay = self.config.ema_decay
        elif self.average:
            self.average = self._new_average()
        self.weights.load(folder)
        apply_settings(self.weights.optimizer, self.config)

    def _load_weights(self, folder: Path) -> None:
        stored = load_file(folder / TRAINED)
        if {name: weight.shape for name, weight in stored.items()} != self.shapes:
            raise OtherStateError(
                f"The run in {folder.parent} is of another model. "
                "Choose another output, or remove that folder."
            )
        with torch.no_grad():
            for name, weight in self.trained.items():
                self.weights.part(weight).copy_(self.weights.divide(stored[name], weight))


class _WholeAverage:
    """The moving average of a run with whole tensors in its state."""

    def __init__(self, state: RunState, average: EMAModel) -> None:
        self.state, self.average = state, average

    def state_dict(self) -> dict[str, Any]:
        values = self.average.state_dict()
        parts = zip(values["shadow_params"], self.state.trained, strict=True)
        return {**values, "shadow_params": [self.state._gather(part, name) for part, name in parts]}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        weights = zip(values["shadow_params"], self.state.trained.values(), strict=True)
        parts = [self.state.weights.divide(whole, weight).clone() for whole, weight in weights]
        self.average.load_state_dict({**values, "shadow_params": parts})
