"""A folder of pictures with layouts as JSON, as samples."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from filelock import FileLock
from PIL import Image

import ifadapter_core
import ifadapter_diffusers.pictures
from ifadapter_diffusers.pictures import (
    OTHER_SUFFIXES,
    SUFFIXES,
    THREADS,
    picture_size,
    read_picture,
    refuse_other_formats,
)

from . import layout as layout_module
from .check import one_line, progress
from .index import Index, Row, make_index, read_index
from .indexed import IndexedSamples
from .layout import read_layout
from .notices import NoticeLog

INDEX = ".ifadapter_index.jsonl"
READERS = (  # the code that decides what an index has
    *sorted(Path(ifadapter_core.__file__).parent.glob("formats/*.py")),
    *(Path(ifadapter_core.__file__).parent / name for name in ("layout.py", "layout_formats.py")),
    Path(ifadapter_diffusers.pictures.__file__),
    Path(layout_module.__file__),
)


class FolderSamples(IndexedSamples):
    """The pictures of a folder and its subfolders, sorted by name.

    Pictures are read as by ``ifadapter_diffusers.pictures``: headers and layouts at once, pixels when
    they are needed. Headers and layouts are kept in an index in the folder, so that the next start reads
    only those of new and changed files.

    slots: most boxes that a layout may have; None = any number.
    spare: folder for the index if the pictures' own cannot be written; None = keep no index then.

    Raises ValueError if there are none, or if there are pictures of a format that is not read.
    """

    def __init__(self, folder: str | Path, slots: int | None = None, spare: Path | None = None) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
        super().__init__(_open_index(self.folder, spare), slots)

    def path(self, index: int) -> Path:
        return self.folder / self.name(index)

    def where(self, index: int) -> str:
        return str(self.path(index))

    def read(self, row: Row) -> Image.Image:
        return read_picture(self.folder / row.name)

    def check(self, index: int) -> None:
        picture_size(self.folder / self.usable_row(index).name, decode=True)

    def layout_place(self, index: int) -> str:
        return str(self.path(index).with_suffix(".json"))


class _Files(NamedTuple):
    """The files of a picture when they were found; -1 = there is no JSON.

    sizes: of the picture and its JSON, in bytes. times: their mtimes and ctimes, in ns.
    """

    sizes: tuple[int, int]
    times: tuple[int, int, int, int]


def _open_index(folder: Path, spare: Path | None) -> Index:
    """The index of a folder as it is now; read from the file and written where that differs."""
    files = _scan(folder)
    places = [folder / INDEX]
    if spare is not None:
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        places.append(spare / f"index_{name}.jsonl")
    head = {"kind": "folder", "folder": str(folder), "readers": _readers()}
    for place in places:
        if (index := _kept(place, head)) and _current(index, head, files):
            return index
    for place in places:
        with _locked(place) as writable:
            if not writable:
                continue
            index = _kept(place, head, warn=True)  # another process may have written it meanwhile
            if index and _current(index, head, files):
                return index
            index = _updated(index, head, folder, files)
            try:
                index.write(place)
            except OSError:
                continue
            return index
    logging.warning("No index of %s can be written, so each start reads all layouts.", folder)
    return _updated(None, head, folder, files)


def _scan(folder: Path) -> dict[str, _Files]:
    """The pictures of a folder and its subfolders by name, sorted as paths."""
    pictures: dict[str, os.stat_result] = {}
    layouts: dict[str, os.stat_result] = {}
    others = []
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(folder / parent) as entries:
            for entry in entries:
                name = f"{parent}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                    continue
                stem, suffix = os.path.splitext(name)
                kind = suffix.lower()
                if kind not in (*SUFFIXES, *OTHER_SUFFIXES, ".json") or not entry.is_file():
                    continue
                if kind in SUFFIXES:
                    pictures[name] = entry.stat()
                elif kind == ".json":
                    layouts[f"{stem}.json"] = entry.stat()
                else:
                    others.append(name)
    refuse_other_formats(folder, sorted(others))
    if not pictures:
        raise ValueError(f"There are no pictures in {folder}; expected {', '.join(SUFFIXES)}.")
    names = sorted(pictures, key=lambda name: name.split("/"))
    return {name: _files(pictures[name], layouts.get(_layout_name(name))) for name in names}


def _layout_name(name: str) -> str:
    return f"{os.path.splitext(name)[0]}.json"


def _files(picture: os.stat_result, layout: os.stat_result | None) -> _Files:
    times = (layout.st_mtime_ns, layout.st_ctime_ns) if layout else (-1, -1)
    return _Files(
        (picture.st_size, layout.st_size if layout else -1),
        (picture.st_mtime_ns, picture.st_ctime_ns, *times),
    )


def _readers() -> str:
    """Hash of the code that reads pictures and layouts: another version may read them otherwise."""
    digest = hashlib.sha256()
    for path in READERS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(place: Path, head: dict[str, str], warn: bool = False) -> Index | None:
    """The index in a file, if it is one of a folder, whole and of this version."""
    try:
        index = read_index(place.read_bytes(), str(place))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, KeyError, TypeError) as error:
        if warn:
            logging.warning("The index is made anew: %s", error)
        return None
    return index if all(index.head.get(key) == head[key] for key in ("kind", "readers")) else None


def _same(row: Row, index: Index, head: dict[str, str], files: _Files | None) -> bool:
    """Whether a row is of the files as they are now. A reason has the path of its folder."""
    moved = row.reason is not None and index.head.get("folder") != head["folder"]
    return (row.files, row.place) == files and not moved


def _current(index: Index, head: dict[str, str], files: dict[str, _Files]) -> bool:
    """Whether an index has just these files, as they are now."""
    rows = map(index.row, range(len(index)))
    return len(index) == len(files) and all(
        row.name == name and _same(row, index, head, found)
        for row, (name, found) in zip(rows, files.items(), strict=True)
    )


def _updated(index: Index | None, head: dict[str, str], folder: Path, files: dict[str, _Files]) -> Index:
    """The index of these files: the rows of an older index where a file has not changed."""
    old = map(index.row, range(len(index))) if index else ()
    kept = {row.name: row for row in old if index and _same(row, index, head, files.get(row.name))}
    changed = [name for name in files if name not in kept]
    with NoticeLog() as log, ThreadPool(THREADS) as pool:
        read = pool.imap(partial(_read, folder, files, log), changed)
        kept |= zip(changed, progress(read, len(changed)), strict=True)
    return make_index(head, (kept[name] for name in files))


def _read(folder: Path, files: dict[str, _Files], log: NoticeLog, name: str) -> Row:
    sizes, times = files[name]
    path = folder / PurePosixPath(name)
    try:
        return Row.usable(name, times, sizes, read_layout(path, *picture_size(path, decode=False), log))
    except ValueError as error:
        return Row(name, times, sizes, reason=one_line(error))


@contextmanager
def _locked(place: Path) -> Iterator[bool]:
    """Wait until no other process writes an index here; False if its folder cannot be written."""
    lock = FileLock(f"{place}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):  # the latter where files cannot be locked
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
