"""A folder of pictures with layouts as JSON, as samples."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import SUFFIXES, THREADS, picture_files, picture_size, read_picture

from .check import one_line, progress
from .layout import layout_text, read_layout, read_layout_text
from .samples import Samples


class _Entry(NamedTuple):
    """A picture: size in pixels and layout text, or the reason why it cannot be used."""

    size: tuple[int, int] = (0, 0)
    layout: str = ""
    reason: str = ""


class FolderSamples(Samples):
    """The pictures of a folder and its subfolders, sorted by name.

    Pictures are read as by ``ifadapter_diffusers.pictures``. Headers and layouts are read at once,
    pixels when they are needed.

    slots: most boxes that a layout may have; None = any number.

    Raises ValueError if there are none, or if there are pictures of a format that is not read.
    """

    def __init__(self, folder: str | Path, slots: int | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
        paths = picture_files(self.folder, "**/*")
        if not paths:
            raise ValueError(f"There are no pictures in {folder}; expected {', '.join(SUFFIXES)}.")
        self._names = [path.relative_to(self.folder).as_posix() for path in paths]
        with ThreadPool(THREADS) as pool:
            self._entries = list(progress(pool.imap(_read, paths), len(paths)))
        self._bad = {index: entry.reason for index, entry in enumerate(self._entries) if entry.reason}
        for index, entry in enumerate(self._entries):
            if entry.layout and (reason := too_many_boxes(paths[index], entry.layout, entry.size, slots)):
                self._bad[index] = reason
        self._bad = dict(sorted(self._bad.items()))

    @property
    def bad(self) -> Mapping[int, str]:
        return self._bad

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        return self._names[index]

    def path(self, index: int) -> Path:
        return self.folder / self._names[index]

    def where(self, index: int) -> str:
        return str(self.path(index))

    def size(self, index: int) -> tuple[int, int]:
        self._refuse_bad(index)
        return self._entries[index].size

    def layout(self, index: int) -> Layout:
        return read_layout_text(self._entries[index].layout, *self.size(index))

    def picture(self, index: int) -> Image.Image:
        size, picture = self.size(index), read_picture(self.path(index))
        if picture.size != size:
            raise ValueError(
                f"{self.path(index)} has changed since the start: it has {picture.width} x {picture.height} "
                f"pixels in place of {size[0]} x {size[1]}. Start again."
            )
        return picture

    def check(self, index: int) -> None:
        self._refuse_bad(index)
        picture_size(self.path(index), decode=True)

    def identity(self, index: int) -> str:
        path, entry = self.path(index), self._entries[index]
        sizes = [file.stat().st_size if file.exists() else None for file in (path, path.with_suffix(".json"))]
        return f"{self._names[index]}\0{sizes}\0{entry.layout}\n"

    def _refuse_bad(self, index: int) -> None:
        if index in self._bad:
            raise ValueError(self._bad[index])


def _read(path: Path) -> _Entry:
    try:
        size = picture_size(path, decode=False)
        return _Entry(size, layout_text(read_layout(path, *size)))
    except ValueError as error:
        return _Entry(reason=one_line(error))


def too_many_boxes(path: Path, layout: str, size: tuple[int, int], slots: int | None) -> str | None:
    """The reason why a layout cannot be used that has more boxes than slots; else None."""
    count = len(read_layout_text(layout, *size).instances)
    if slots is None or count <= slots:
        return None
    return (
        f"{path.with_suffix('.json')} has {count} boxes, but the adapter has {slots} slots. "
        "Remove boxes, or raise adapter.shape.slots."
    )
