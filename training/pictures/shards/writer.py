"""Writes shards from a folder of pictures. A stopped writer goes on with the first unfinished shard."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO, Any, NamedTuple

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from ifadapter_core.layout import Layout
from ifadapter_diffusers.pictures import SUFFIXES, picture_size

from ..check import one_line
from ..folder import FolderSamples
from ..index import Index, Row, read_index
from ..layout import parse_layout
from ..notices import NoticeLog
from .parts import INDEX, NOWHERE, merge, read_rows, shard_record, write_rows
from .tars import key_of, named, tar_samples

PLAN = "shards_plan.json"
PATTERN = "pictures-{:06d}.tar"
# Temporary files of this command. Others, such as those of downloads, stay.
UNFINISHED = ("pictures-*.part", "*.tar.rows.part", "index.jsonl.part", "shards_plan.part")
BLOCK_BYTES = 512  # of tar files
MEGABYTE = 10**6


@dataclass(frozen=True)
class Plan:
    """What shards are made of, and where each begins: the same plan makes the same shards.

    fingerprint, count: of the folder.
    size_mb: a shard ends before it has more megabytes. samples: or more pictures; None = any number.
    """

    fingerprint: str
    count: int
    size_mb: float
    samples: int | None


class _Content(NamedTuple):
    """The files of a sample that can be used, and its layout."""

    picture: bytes
    layout_file: bytes
    layout: Layout


def write_shards(
    source: FolderSamples, output: Path, size_mb: float, samples: int | None, max_bad: float, threads: int
) -> tuple[Index, int]:
    """Write the pictures of a folder as shards with an index.

    Each picture is decoded first. Those that cannot be used are left out and listed.
    size_mb, samples: see ``Plan``. threads: that read and decode.

    Returns the index and the number of pictures that are left out.
    Raises ValueError if the output is of other pictures or sizes, if another process writes there, or
    see ``parts.merge``.
    """
    plan = asdict(Plan(source.fingerprint(), len(source), size_mb, samples))
    output.mkdir(parents=True, exist_ok=True)
    with writing(output):
        if index := _finished(output, plan):
            return index, len(source) - len(index)
        _keep_plan(output, plan)
        ranges = _ranges(source, size_mb, samples)
        shards = [output / PATTERN.format(number) for number in range(len(ranges))]
        keys = _keys(source)
        bar = tqdm(total=len(source), unit="picture", dynamic_ncols=True, leave=False, disable=None)
        with NoticeLog() as log, ThreadPool(threads) as pool, bar:
            for shard, indices in zip(shards, ranges, strict=True):
                if read_rows(shard):
                    bar.update(len(indices))
                else:
                    _write_shard(source, shard, indices, keys, pool, log, bar)
        found = merge(output, shards, plan, max_bad)
        (output / PLAN).unlink()
        return found


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Context in which no other process writes shards here. Removes what a killed one left unfinished.

    Raises ValueError if another process does.
    """
    lock = FileLock(folder / ".shards.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"Another process writes to {folder}.") from None
    try:
        for part in chain.from_iterable(map(folder.glob, UNFINISHED)):
            part.unlink()
        yield
    finally:
        lock.release()


def _finished(output: Path, plan: dict[str, Any]) -> Index | None:
    """The index of an output that is whole. Raises ValueError if it is of another plan or incomplete."""
    place = output / INDEX
    if not place.exists():
        return None
    index = read_index(place.read_bytes(), str(place))
    _compare(output, index.head.get("plan"), plan)
    for shard in index.head["shards"]:
        path = output / shard["name"]
        if not path.exists() or path.stat().st_size != shard["bytes"]:
            raise ValueError(
                f"{path} is missing or has changed. Remove {place} and the shards to write all again."
            )
    return index


def _keep_plan(output: Path, plan: dict[str, Any]) -> None:
    """Write the plan, or compare it with the one that is there."""
    place = output / PLAN
    if place.exists():
        _compare(output, json.loads(place.read_text("utf-8")), plan)
        return
    if tars := sorted(output.glob("*.tar")):
        raise ValueError(f"{output} has other tar files, such as {tars[0].name}. Choose another folder.")
    if pictures := sorted(path.name for path in output.iterdir() if path.suffix.lower() in SUFFIXES):
        raise ValueError(
            f"{output} has pictures, such as {pictures[0]}, which a training from its shards would not "
            "read. Choose another folder."
        )
    part = place.with_suffix(".part")
    part.write_text(json.dumps(plan), "utf-8")
    part.replace(place)


def _compare(output: Path, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
    if old == new:
        return
    before = old or dict.fromkeys(new)
    if before["fingerprint"] != new["fingerprint"]:
        what = (
            f"the pictures have changed since: {before['count']} then, {new['count']} now"
            if old
            else "this command did not write them"
        )
    else:
        what = ", ".join(
            f"{name} was {before[name]}, now {value}" for name, value in new.items() if before[name] != value
        )
    raise ValueError(f"{output} has other shards: {what}. Choose another folder, or remove this one.")


def _ranges(source: FolderSamples, size_mb: float, samples: int | None) -> list[range]:
    """The pictures of each shard. Bad ones count too: they may show only when they are decoded."""
    found, first, total = [], 0, 0.0
    for index in range(len(source)):
        sizes = source.index.row(index).files
        size = sum(BLOCK_BYTES - (-max(size, 0) // BLOCK_BYTES) * BLOCK_BYTES for size in sizes)
        full = total + size > size_mb * MEGABYTE or (samples is not None and index - first >= samples)
        if full and index > first:
            found.append(range(first, index))
            first, total = index, 0.0
        total += size
    return [*found, range(first, len(source))]


def _keys(source: FolderSamples) -> dict[str, str]:
    """The key of each picture, by name."""
    parts = {name: os.path.splitext(name) for name in map(source.name, range(len(source)))}
    counts = Counter(stem for stem, _ in parts.values())
    return {name: key_of(stem, suffix[1:] * (counts[stem] > 1)) for name, (stem, suffix) in parts.items()}


def _write_shard(
    source: FolderSamples,
    shard: Path,
    indices: Sequence[int],
    keys: dict[str, str],
    pool: ThreadPool,
    log: NoticeLog,
    bar: tqdm,
) -> None:
    """Write a shard under a temporary name, then its rows, then give it its name."""
    part = shard.with_suffix(".part")
    rows, written = list[Row](), list[Row]()
    with part.open("wb") as file:
        hashed = _Hashed(file)
        tar = _tar_writer()(hashed, mtime=0, encoder=False)
        contents = pool.imap(partial(_content, source, log), indices)
        for index, content in zip(indices, contents, strict=True):
            row = source.index.row(index)
            if isinstance(content, _Content):
                suffix = os.path.splitext(row.name)[1][1:]
                files = {suffix: content.picture, "json": content.layout_file}
                tar.write({"__key__": keys[row.name], **files})
                place = (0, 0, zlib.crc32(content.picture), 0)
                sizes = (len(content.picture), len(content.layout_file))
                written.append(Row.usable(row.name, place, sizes, content.layout))
            else:
                rows.append(Row(row.name, NOWHERE, row.files, reason=content))
            bar.update()
        tar.close()
        file.flush()
        os.fsync(file.fileno())
    for row, sample in zip(written, tar_samples(part), strict=True):
        (picture,), layout = sample.pictures, sample.layout
        assert layout is not None
        assert (sample.key, picture.size, layout.size) == (keys[row.name], *row.files)
        rows.append(row._replace(place=(0, picture.offset, row.place[2], layout.offset)))
    write_rows(shard, shard_record(part, hashed.digest.hexdigest()) if written else None, rows)
    if written:
        part.replace(shard)
    else:
        part.unlink()


def _content(source: FolderSamples, log: NoticeLog, index: int) -> _Content | str:
    """The files of a picture, or the reason why it cannot be used."""
    if index in source.bad:
        return source.bad[index]
    path = source.path(index)
    layout_path = path.with_suffix(".json")
    picture, text = path.read_bytes(), layout_path.read_bytes()
    try:
        size = picture_size(named(picture, str(path)), decode=True)
        return _Content(picture, text, parse_layout(text, str(layout_path), path.name, *size, log))
    except ValueError as error:
        return one_line(error)


def _tar_writer() -> Any:
    """webdataset's class. Raises ValueError without the package, which only this needs."""
    try:
        from webdataset import TarWriter
    except ImportError as error:
        raise ValueError("Writing shards needs webdataset: pip install webdataset.") from error
    return TarWriter


class _Hashed:
    """A file to write, with a hash of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        if self.file.closed:  # an unfinished tar file, which writes its end when it is deleted
            return len(content)
        self.digest.update(content)
        return self.file.write(content)
