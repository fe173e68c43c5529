"""Makes the index of shards that other software wrote."""

from __future__ import annotations

import os
import zlib
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm.auto import tqdm

from ifadapter_diffusers.pictures import SUFFIXES, picture_size

from ..check import one_line
from ..index import Index, Row
from ..layout import missing_layout, parse_layout
from ..notices import NoticeLog
from .parts import NOWHERE, merge, read_rows, sha256_of, shard_record, write_rows
from .tars import Member, TarSample, named, stem_of, tar_samples
from .writer import writing

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def index_shards(folder: Path, max_bad: float, threads: int) -> tuple[Index, int]:
    """Write the index of the tar files in a folder. A stopped run goes on with the first unfinished one.

    Each picture is decoded. Those that cannot be used are left out and listed.
    threads: that read and decode.

    Returns the index and the number of samples that are left out.
    Raises ValueError if there are no tar files, if some are compressed, or see ``parts.merge``;
    DamagedShardError if a file is no whole tar file.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    names = sorted(path.name for path in folder.iterdir())
    if compressed := [name for name in names if name.endswith(COMPRESSED)]:
        raise ValueError(
            f"{folder} has compressed shards, such as {compressed[0]}. Decompress them: samples are read "
            "from their places in the file."
        )
    shards = [folder / name for name in names if name.endswith(".tar")]
    if not shards:
        raise ValueError(f"There are no .tar files in {folder}.")
    total = sum(shard.stat().st_size for shard in shards)
    bar = tqdm(total=total, unit="B", unit_scale=True, dynamic_ncols=True, leave=False, disable=None)
    with writing(folder), NoticeLog() as log, ThreadPool(threads) as pool, bar:
        for shard in shards:
            if not read_rows(shard):
                record = shard_record(shard, sha256_of(shard))
                rows = list(pool.imap(partial(_row, shard, log), tar_samples(shard)))
                write_rows(shard, record, rows)
            bar.update(shard.stat().st_size)
        return merge(folder, shards, None, max_bad)


def _row(shard: Path, log: NoticeLog, sample: TarSample) -> Row:
    suffix = os.path.splitext(sample.pictures[0].name)[1] if len(sample.pictures) == 1 else ""
    name = stem_of(sample.key) + suffix
    try:
        picture, layout = _files(shard, sample)
        content, text = (_read(shard, member) for member in (picture, layout))
        where = f"{shard}/{picture.name}"
        size = picture_size(named(content, where), decode=True)
        found = parse_layout(text, f"{shard}/{layout.name}", picture.name, *size, log)
    except ValueError as error:
        return Row(name, NOWHERE, (-1, -1), reason=one_line(error))
    place = (0, picture.offset, zlib.crc32(content), layout.offset)
    return Row.usable(name, place, (len(content), len(text)), found)


def _files(shard: Path, sample: TarSample) -> tuple[Member, Member]:
    """The picture of a sample and its layout. Raises ValueError if there are not one of each."""
    where = f"{shard}/{sample.key}"
    if len(sample.pictures) != 1:
        names = ", ".join(member.name for member in sample.pictures) or "none"
        raise ValueError(f"{where} has {len(sample.pictures)} pictures ({names}); expected one.")
    (picture,) = sample.pictures
    if not picture.name.lower().endswith(SUFFIXES):
        raise ValueError(f"{shard}/{picture.name} is no {', '.join(SUFFIXES)}. Convert it.")
    if sample.layout is None:
        raise missing_layout(where, f"{sample.key}.json")
    return picture, sample.layout


def _read(shard: Path, member: Member) -> bytes:
    with shard.open("rb") as file:
        file.seek(member.offset)
        return file.read(member.size)
