"""Where the shards of an index are: in a folder, or behind a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .cache import ShardCache
from .parts import INDEX
from .tars import DamagedShardError

Records = Sequence[Mapping[str, Any]]  # of an index: name, bytes and sha256 of each shard


class Store(Protocol):
    """The shards of an index, by number.

    remote: whether a file must be fetched first.
    """

    remote: bool

    def place(self, number: int) -> str:
        """Path or URL of a shard, in messages."""
        ...

    def file(self, number: int) -> Path:
        """A file with the content of a shard."""
        ...

    def discard(self, number: int) -> bool:
        """Forget a damaged file, if it can be fetched again; else False."""
        ...


class LocalStore(Store):
    """Shards in a folder. Raises DamagedShardError if one is missing or has another size."""

    remote = False

    def __init__(self, folder: Path, records: Records) -> None:
        self.paths = [folder / record["name"] for record in records]
        remedy = f"Copy it again, or index the shards again: python -m training shard --index {folder}"
        for path, record in zip(self.paths, records, strict=True):
            if not path.exists():
                raise DamagedShardError(f"The shard {path} is missing. {remedy}")
            if path.stat().st_size != record["bytes"]:
                found = f"has {path.stat().st_size} bytes in place of {record['bytes']}"
                raise DamagedShardError(f"The shard {path} {found}. {remedy}")

    def place(self, number: int) -> str:
        return str(self.paths[number])

    def file(self, number: int) -> Path:
        return self.paths[number]

    def discard(self, number: int) -> bool:
        return False


class RemoteStore(Store):
    """Shards behind a URL, which names the index; the shards are beside it.

    Raises ValueError if the URL does not name the index.
    """

    remote = True

    def __init__(self, url: str, records: Records, cache: ShardCache) -> None:
        before, name, after = url.rpartition(INDEX)
        if not name:
            raise ValueError(f"{url} names no {INDEX}. Give the URL of the index, which names the shards.")
        self.urls = [f"{before}{record['name']}{after}" for record in records]
        self.records, self.cache = list(records), cache

    def place(self, number: int) -> str:
        return self.urls[number]

    def file(self, number: int) -> Path:
        record = self.records[number]
        return self.cache.fetch(self.urls[number], record["sha256"], record["bytes"])

    def discard(self, number: int) -> bool:
        self.cache.discard(self.records[number]["sha256"])
        return True
