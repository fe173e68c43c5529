"""A folder of safetensors files of some hundred entries each, which can be written in any order."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

SUFFIX = ".safetensors"
OPEN_FILES = 64  # that a process keeps open
CONTENT = "content"
COMMAND = "python -m training cache"


class CacheError(OSError):
    """A file of a cache is damaged, or is not what it should be."""


class Parts:
    """The numbered files of one cache.

    A file is read entry by entry, from the pages that the system has in memory. Can be pickled, for data
    loader processes.

    folder: of the files.
    count: number of the files.
    content: hash of what the cache is of; it is in each file.
    """

    def __init__(self, folder: Path, count: int, content: str) -> None:
        self.folder, self.count, self.content = folder, count, content
        self._open: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def path(self, number: int) -> Path:
        return self.folder / f"{number:06}{SUFFIX}"

    def missing(self) -> list[int]:
        """The files that are not written yet."""
        there = {entry.name for entry in os.scandir(self.folder)} if self.folder.is_dir() else set()
        return [number for number in range(self.count) if self.path(number).name not in there]

    def write(self, number: int, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
        """Atomic write of a file: a temporary one, then rename. notes: texts that go with it."""
        path = self.path(number)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(whole, temporary, {CONTENT: self.content, **notes})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)

    def tensor(self, number: int, name: str) -> Tensor:
        """An entry of a file. Raises KeyError if there is none of this name, CacheError as ``notes``."""
        file = self._file(number)
        try:
            return file.get_tensor(name)
        except Exception as error:
            raise KeyError(name) from error

    def notes(self, number: int) -> dict[str, str]:
        """The texts that were written with a file.

        Raises CacheError if it is damaged, or of another cache.
        """
        return self._file(number).metadata()

    def _file(self, number: int) -> Any:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path = self.path(number)
        try:
            file = safe_open(path, framework="pt")
            content = (file.metadata() or {}).get(CONTENT)
        except Exception as error:  # of safetensors and the system
            raise CacheError(f"{path} is damaged ({error}). Remove it, and run `{COMMAND}` again.") from error
        if content != self.content:
            raise CacheError(f"{path} is of another cache. Remove it, and run `{COMMAND}` again.")
        self._open[number] = file
        if len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)
        return file


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    for path in folder.glob(f"*{SUFFIX}.*.tmp"):
        path.unlink(missing_ok=True)
