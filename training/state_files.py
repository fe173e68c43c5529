"""The folders of saved states: which there are, their order, and whether their files are whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from zipfile import ZipFile

from safetensors import safe_open

TORCH_FILES = (".bin", ".pkl", ".pt")  # written by torch.save


class OtherStateError(ValueError):
    """The state belongs to a run of another model, or to another way of dividing the weights."""


def saved_states(folder: Path) -> list[Path]:
    """The states in the folder of a run, the newest first."""
    # Without state there is still state.old if the process died between two renames.
    older = sorted(folder.glob("state.old*"), key=_age)
    return [state for state in (folder / "state", *older) if state.is_dir()]


def rotate(folder: Path, keep: int) -> None:
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


def check_whole(path: Path) -> None:
    """Raises an error of any type if a file was cut off. Reads only its directory of contents."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt"):
            pass
    elif path.suffix in TORCH_FILES:
        with ZipFile(path):
            pass


def flush(folder: Path) -> None:
    """Write the files of a folder to the disk, so that a power cut cannot empty them after the renames."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file)
