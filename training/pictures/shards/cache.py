"""Shards of a URL on this machine: fetched whole, kept up to a limit, shared by all processes."""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from .tars import DamagedShardError

GIGABYTE = 10**9
BLOCK_BYTES = 1 << 20
TRIES = 2  # of a fetch
CURL = {  # what its exit statuses mean
    "6": ": the host is not known",
    "7": ": no connection",
    "22": ": the server answers with an error, such as 404",
}
OLD_SECONDS = 24 * 3600  # after which the rest of a killed fetch is removed


def default_folder() -> Path:
    """Where shards are kept if no setting says so."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ifadapter" / "shards"


def open_url(url: str) -> Any:
    """A stream of the content of a URL, by ``webdataset.gopen``.

    Raises ValueError without the package, which only this needs, or for a scheme that it does not know.
    """
    try:
        from webdataset.gopen import gopen, gopen_schemes
    except ImportError as error:
        raise ValueError("Reading shards from a URL needs webdataset: pip install webdataset.") from error
    scheme = url.partition(":")[0]
    if scheme not in gopen_schemes:
        raise ValueError(
            f"{url} cannot be read: webdataset opens no {scheme}:. Give the command that writes it to its "
            "output, such as pipe:aws s3 cp s3://bucket/index.jsonl -"
        )
    return gopen(url)


def reason(error: OSError) -> str:
    """Why a URL cannot be read, without webdataset's list of arguments."""
    found = re.search(r"exit (\d+) \(read\)", str(error))
    if found is None:
        return str(error)
    meaning = CURL.get(found[1], "") if "'curl'" in str(error) else ""
    return f"its command ended with exit status {found[1]}{meaning}"


def read_url(url: str, tries: int = TRIES) -> bytes:
    """The content of a URL. Raises OSError that names it."""
    try:
        with open_url(url) as stream:
            return stream.read()
    except OSError as error:
        if tries > 1:
            return read_url(url, tries - 1)
        raise OSError(f"{url} cannot be read ({reason(error)}).") from error


@dataclass(frozen=True)
class ShardCache:
    """A folder of fetched shards. The least recently used ones go when there are more than the limit.

    limit_gb: gigabytes (10^9 bytes) in all.
    """

    folder: Path
    limit_gb: float

    def fetch(self, url: str, sha256: str, size: int) -> Path:
        """The file of a shard, fetched unless it is there. Another process may remove it at any time.

        sha256, size: of its content, which is checked when it is fetched.

        Raises DamagedShardError if a second try gives another content too, or the URL cannot be read.
        """
        path = self._path(sha256)
        if _touch(path):
            return path
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "locks" / sha256):
            if not _touch(path):  # another process may have fetched it meanwhile
                self._download(url, path, sha256, size)
        self._make_room(path)
        return path

    def discard(self, sha256: str) -> None:
        """Remove a shard, so that it is fetched again."""
        self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self.folder / f"{sha256}.tar"

    def _download(self, url: str, path: Path, sha256: str, size: int) -> None:
        part = path.with_suffix(".part")
        problem = ""
        for _ in range(TRIES):
            digest, count = hashlib.sha256(), 0
            try:
                with open_url(url) as stream, part.open("wb") as file:
                    while block := stream.read(BLOCK_BYTES):
                        digest.update(block)
                        count += len(block)
                        file.write(block)
            except OSError as error:
                problem = f"cannot be read ({reason(error)})"
                continue
            if digest.hexdigest() == sha256:
                part.replace(path)
                return
            problem = f"has {count} bytes in place of {size}" if count != size else "has another content"
        part.unlink(missing_ok=True)
        raise DamagedShardError(f"The shard {url} {problem}, also at a second try.")

    def _make_room(self, keep: Path) -> None:
        with FileLock(self.folder / "locks" / "room"):
            files = []
            for path in self.folder.iterdir():
                if path.suffix not in (".tar", ".part"):
                    continue
                try:
                    found = path.stat()
                except FileNotFoundError:  # a fetch has ended
                    continue
                if path.suffix == ".tar":
                    files.append((found.st_mtime_ns, found.st_size, path))
                elif time.time() - found.st_mtime > OLD_SECONDS:
                    path.unlink(missing_ok=True)
            total = sum(size for _, size, _ in files)
            for _, size, path in sorted(files):
                if total <= self.limit_gb * GIGABYTE:
                    break
                if path != keep:
                    path.unlink(missing_ok=True)
                    total -= size


def _touch(path: Path) -> bool:
    """Mark a file as used now; whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
