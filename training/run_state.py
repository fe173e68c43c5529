"""The saved state of a run, from which it resumes as if it had never stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ifadapter_core.weights.errors import listed
from ifadapter_core.weights.tensors import non_finite

TRAINED = "trained.safetensors"
TORCH_FILES = (".bin", ".pkl", ".pt")  # written by torch.save


class OtherModelError(ValueError):
    """The state belongs to a run of another model."""


class Progress:
    """The optimizer steps done, and the losses not yet written to ``losses.csv``.

    seconds: time that the finished steps took; counted only in runs with a time limit.
    skipped: steps whose loss or gradient was not finite; they count as done.
    """

    def __init__(self) -> None:
        self.step = 0
        self.skipped = 0
        self.seconds = 0.0
        self.losses: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        losses = [loss.item() for loss in self.losses]
        return {"step": self.step, "skipped": self.skipped, "seconds": self.seconds, "losses": losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """States of earlier versions have the step only."""
        self.step = state["step"]
        self.skipped = state.get("skipped", 0)
        self.seconds = state.get("seconds", 0.0)
        self.losses = [torch.tensor(loss) for loss in state.get("losses", [])]


class RunState:
    """The state of a run: trained weights, moving average, optimizer, random states, progress.

    Saved by accelerate; this class adds average and progress, and leaves out frozen weights.
    Create it after ``accelerator.prepare``.

    trained: parameters of the objective that require gradients, by name.
    average: their exponential moving average, or None.
    keep: number of states on the disk: ``state``, then the older ``state.old``, ``state.old2``, ...
    """

    def __init__(
        self, accelerator: Accelerator, objective: nn.Module, ema_decay: float, keep: int = 1
    ) -> None:
        self.accelerator = accelerator
        self.keep = keep
        weights = objective.named_parameters()
        self.trained = {name: weight for name, weight in weights if weight.requires_grad}
        self.average = EMAModel(self.trained.values(), decay=ema_decay, foreach=True) if ema_decay else None
        self.progress = Progress()
        accelerator.register_for_checkpointing(*filter(None, (self.progress, self.average)))
        accelerator.register_save_state_pre_hook(self._save_weights)
        accelerator.register_load_state_pre_hook(self._load_weights)

    def finish_step(self) -> None:
        """Count an optimizer step and update the moving average."""
        if self.average:
            self.average.step(self.trained.values())
        self.progress.step += 1

    def restore(self, folder: Path) -> None:
        """Load the state in ``folder``; no-op without one.

        Raises ValueError for the state of another model, or for a damaged state, naming its file.
        """
        if states := saved_states(folder):
            self._load(*states[:2])
            self.accelerator.step = 0  # states hold no partial accumulation
        if self.average:
            self.average.to(self.accelerator.device)

    def _load(self, state: Path, before: Path | None = None) -> None:
        """before: an older state, for the error message."""
        path = state
        try:
            for path in sorted(state.iterdir()):
                _check_whole(path)
            path = state
            self.accelerator.load_state(str(state))
        except OtherModelError:
            raise
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
        new = folder / "state.new"
        if self.accelerator.is_main_process and new.exists():  # left by a crash
            shutil.rmtree(new)
        self.accelerator.wait_for_everyone()
        try:
            self.accelerator.save_state(str(new))
        except Exception as error:  # of torch and safetensors, for example on a full disk
            raise OSError(
                f"{new} cannot be written ({error}). {folder / 'state'} is kept. "
                "Make room on the disk; the same command then resumes."
            ) from error
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            _flush(new)
            _rotate(folder, self.keep)

    def _check_finite(self, folder: Path) -> None:
        averages = self.average.shadow_params if self.average else ()
        tensors = {**self.trained, **{f"average {number}": tensor for number, tensor in enumerate(averages)}}
        if bad := non_finite({name: tensor.detach() for name, tensor in tensors.items()}):
            raise ValueError(
                f"Nothing is saved: NaN or infinite weights in {listed(bad)}. The states in {folder} are "
                "kept. Lower learning_rate; the same command then resumes."
            )

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Context in which the trained parameters hold their moving average, if there is one."""
        if self.average is None:
            yield
            return
        self.average.store(self.trained.values())
        self.average.copy_to(self.trained.values())
        try:
            yield
        finally:
            self.average.restore(self.trained.values())

    def _save_weights(self, models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        """Hook of accelerate: save the trained weights only, not the frozen base model."""
        weights.clear()
        if self.accelerator.is_main_process:
            tensors = {name: weight.detach().contiguous() for name, weight in self.trained.items()}
            save_file(tensors, Path(folder) / TRAINED)

    def _load_weights(self, models: list[nn.Module], folder: str) -> None:
        """Hook of accelerate: the counterpart of ``_save_weights``."""
        models.clear()
        stored = load_file(Path(folder) / TRAINED)
        stored_shapes = {name: weight.shape for name, weight in stored.items()}
        if stored_shapes != {name: weight.shape for name, weight in self.trained.items()}:
            raise OtherModelError(
                f"The run in {Path(folder).parent} is of another model. "
                "Choose another output, or remove that folder."
            )
        with torch.no_grad():
            for name, weight in self.trained.items():
                weight.copy_(stored[name])


def saved_states(folder: Path) -> list[Path]:
    """The states in the folder of a run, the newest first."""
    # Without state there is still state.old if the process died between two renames.
    older = sorted(folder.glob("state.old*"), key=_age)
    return [state for state in (folder / "state", *older) if state.is_dir()]


def _rotate(folder: Path, keep: int) -> None:
    """Rename ``state.new`` to ``state``, ``state`` to ``state.old`` and so on; remove what is older."""
    names = ["state.new", "state", "state.old", *(f"state.old{number}" for number in range(2, keep + 1))]
    paths = [folder / name for name in names[: keep + 2]]
    shutil.rmtree(paths[-1], ignore_errors=True)
    for older, newer in zip(paths[:0:-1], paths[-2::-1], strict=True):
        if newer.exists():
            newer.replace(older)
    for state in saved_states(folder)[keep:]:
        shutil.rmtree(state, ignore_errors=True)


def _age(state: Path) -> int:
    """2 for ``state.old2``, 1 for ``state.old``."""
    number = state.name.removeprefix("state.old")
    return int(number) if number.isdecimal() else 1


def _check_whole(path: Path) -> None:
    """Raises an error of any type if a file was cut off. Reads only its directory of contents."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt"):
            pass
    elif path.suffix in TORCH_FILES:
        with ZipFile(path):
            pass


def _flush(folder: Path) -> None:
    """Write the files of a folder to the disk, so that a power cut cannot empty them after the renames."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file)
