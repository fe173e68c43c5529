"""Opens the samples that a setting such as ``folder.path`` names."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from ..config import FolderConfig
from .folder import FolderSamples
from .index import Index, read_index
from .samples import Samples
from .shards.cache import GIGABYTE, ShardCache, default_folder, read_url
from .shards.parts import INDEX, KIND
from .shards.sharded import ShardSamples
from .shards.stores import LocalStore, RemoteStore

URL = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")  # of two letters at least: C: is a drive
INDEXES = "picture_indexes"  # in a run's folder: indexes of folders that cannot be written
CACHED_WINDOWS = 3  # the one that trains, the one that is fetched, and one that a slower process reads
REMOTE_WINDOW = 4  # shards whose samples are shuffled together if they come from a URL


def open_samples(
    path: str, settings: FolderConfig, slots: int | None = None, spare: Path | None = None
) -> Samples:
    """The samples of a folder of pictures, of a folder of shards, or of a URL of the index of shards.

    settings: how shards are read. Its ``path`` is not used.
    slots: most boxes that a layout may have; None = any number.
    spare: folder for the index of a folder of pictures that cannot be written.

    Raises ValueError if there are none, if shards have no index, or if the cache is too small; OSError if
    a shard is missing or a URL cannot be read.
    """
    if URL.match(path) and not Path(path).is_dir():
        if path.startswith("file:"):
            return open_samples(url2pathname(urlparse(path).path), settings, slots, spare)
        return _remote(path, settings, slots)
    folder = Path(path)
    if folder.name == INDEX and folder.is_file():
        folder = folder.parent
    if folder.is_file():
        raise ValueError(f"{path} is a file; expected a folder of pictures, or one of shards with {INDEX}.")
    if (folder / INDEX).is_file():
        index = _shard_index((folder / INDEX).read_bytes(), str(folder / INDEX))
        store = LocalStore(folder.resolve(), index.head["shards"])
        return ShardSamples(index, store, settings.shuffle or 0, slots)
    if next(folder.glob("*.tar"), None):
        raise ValueError(f"{path} has shards without an index. Run python -m training shard --index {path}")
    return FolderSamples(folder, slots, spare)


def _remote(url: str, settings: FolderConfig, slots: int | None) -> ShardSamples:
    index = _shard_index(read_url(url), url)
    window = REMOTE_WINDOW if settings.shuffle is None else settings.shuffle
    folder = Path(settings.shard_cache) if settings.shard_cache else default_folder()
    records = index.head["shards"]
    sizes = sorted((record["bytes"] for record in records), reverse=True)
    count = min(CACHED_WINDOWS * window or len(sizes), len(sizes))
    needed = sum(sizes[:count]) / GIGABYTE
    if needed > settings.shard_cache_gb:
        raise ValueError(
            f"shard_cache_gb is {settings.shard_cache_gb:g}, but {count} shards of {url} have "
            f"{needed:.3g} GB. Raise it{', or lower shuffle' * (window > 1)}."
        )
    return ShardSamples(
        index, RemoteStore(url, records, ShardCache(folder, settings.shard_cache_gb)), window, slots
    )


def _shard_index(content: bytes, name: str) -> Index:
    try:
        index = read_index(content, name)
    except ValueError as error:
        raise ValueError(
            f"{error} Give what python -m training shard wrote: {INDEX}, beside its shards."
        ) from error
    if index.head.get("kind") != KIND:
        raise ValueError(f"{name} is an index of {index.head.get('kind')}; expected one of {KIND}.")
    return index
