"""The samples in a tar file of webdataset: members with one name but for what follows its first dot."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from ifadapter_diffusers.pictures import OTHER_SUFFIXES, SUFFIXES

NAME = re.compile(r"((?:.*/|)[^./]+)[.]([^/]*)")  # key and extension, as webdataset takes them apart
END_BYTES = 1024  # two empty blocks end a tar file
ESCAPES = (("%", "%25"), (".", "%2E"))  # in keys, where a dot would end the key
REMEDY = "Copy it again, or remove it."
MARK = "%2F"  # before what tells keys apart


class DamagedShardError(OSError):
    """A shard that is missing, cut or changed. The message names it."""


class Member(NamedTuple):
    """A file in a tar file: offset and size of its content, in bytes."""

    name: str
    offset: int
    size: int


class TarSample(NamedTuple):
    """A sample of a tar file.

    key: see ``key_of``.
    pictures: usually one.
    layout: its JSON, or None.
    """

    key: str
    pictures: tuple[Member, ...]
    layout: Member | None


def tar_samples(path: Path) -> Iterator[TarSample]:
    """The samples with a picture or a JSON, in their order. Reads the headers only.

    Raises DamagedShardError if the file is no whole tar file.
    """
    key, found = "", list[Member]()
    for member in _members(path):
        match = NAME.fullmatch(member.name)
        if not match:
            continue
        if match[1] != key and found:
            yield _sample(key, found)
            found = []
        key = match[1]
        if _suffix(member) in (*SUFFIXES, *OTHER_SUFFIXES, ".json"):
            found.append(member)
    if found:
        yield _sample(key, found)


def _sample(key: str, members: list[Member]) -> TarSample:
    layouts = [member for member in members if _suffix(member) == ".json"]
    pictures = tuple(member for member in members if _suffix(member) != ".json")
    return TarSample(key, pictures, layouts[0] if layouts else None)


def _suffix(member: Member) -> str:
    """The extension of a member, which begins at the first dot, in lower case."""
    match = NAME.fullmatch(member.name)
    return f".{match[2].lower()}" if match else ""


def _members(path: Path) -> Iterator[Member]:
    end = 0
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                end = max(end, info.offset_data + info.size)
                if info.isfile():
                    yield Member(info.name, info.offset_data, info.size)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedShardError(f"{path} is no whole tar file ({error}). {REMEDY}") from error
    if path.stat().st_size < end + END_BYTES:
        raise DamagedShardError(f"{path} is cut off: its end is missing. {REMEDY}")


def key_of(stem: str, mark: str = "") -> str:
    """The key of a sample in a tar file.

    stem: path without its extension. mark: tells pictures apart that have one stem, and so one JSON.
    """
    folder, slash, name = stem.rpartition("/")
    for character, escape in ESCAPES:
        name = name.replace(character, escape)
    return f"{folder}{slash}{name}{MARK}{mark}" if mark else f"{folder}{slash}{name}"


def stem_of(key: str) -> str:
    """The counterpart of ``key_of``, without the mark."""
    folder, slash, name = key.partition(MARK)[0].rpartition("/")
    for character, escape in reversed(ESCAPES):
        name = name.replace(escape, character)
    return f"{folder}{slash}{name}"


def named(content: bytes, name: str) -> IO[bytes]:
    """The content of a file as an open file. name: in messages."""
    file = io.BytesIO(content)
    file.name = name
    return file
