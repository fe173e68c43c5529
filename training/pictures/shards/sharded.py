"""The pictures of shards as samples."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ifadapter_diffusers.pictures import picture_size, read_picture
from ifadapter_diffusers.randomness import seeded_generator

from ..index import Index, Row
from ..indexed import IndexedSamples
from ..samples import ORDER_STREAM, Numbers
from .stores import Store
from .tars import DamagedShardError, named


class ShardSamples(IndexedSamples):
    """The samples of an index of shards. Pixels are read from their places in the shards.

    window: shards whose samples are shuffled together, so that only so many are open at a time and each
        is read once in an epoch; 0 = shuffle all samples, as those of a folder.
    slots: most boxes that a layout may have; None = any number.
    """

    def __init__(self, index: Index, store: Store, window: int = 0, slots: int | None = None) -> None:
        self.store, self.window = store, window
        self._next: dict[int, tuple[int, ...]] = {}  # shard -> those of the next window
        super().__init__(index, slots)

    def where(self, index: int) -> str:
        return self._where(self.index.row(index))

    def read(self, row: Row) -> Image.Image:
        return read_picture(named(self._content(row), self._where(row)))

    def check(self, index: int) -> None:
        row = self.usable_row(index)
        picture_size(named(self._content(row), self._where(row)), decode=True)

    def layout_place(self, index: int) -> str:
        return self.where(index)

    def order(self, seed: int, epoch: int, among: Numbers | None = None) -> Tensor:
        if not self.window:
            return super().order(seed, epoch, among)
        places = self.index.places if among is None else self.index.places[np.asarray(among, np.int64)]
        generator = seeded_generator(seed, epoch, ORDER_STREAM)
        shards = torch.from_numpy(places)
        windows = shard_windows(shards, self.window, generator)
        if self.store.remote:
            self._next = {shard: after for window, after in pairwise(windows) for shard in window}
        return windowed_order(shards, windows, generator)

    def order_key(self, indices: npt.NDArray[np.int64]) -> bytes:
        return f"{self.window}\n".encode() + self.index.places[indices].tobytes() if self.window else b""

    def _content(self, row: Row) -> bytes:
        """The picture's file. Raises DamagedShardError that names the shard."""
        shard, offset, crc, _ = row.place
        self._fetch_ahead(shard)
        tries = 3  # the cache may remove a file before it is opened
        for _ in range(tries):
            try:
                with self.store.file(shard).open("rb") as file:
                    file.seek(offset)
                    content = file.read(row.files[0])
            except FileNotFoundError:
                continue
            if len(content) == row.files[0] and zlib.crc32(content) == crc:
                return content
            if not self.store.discard(shard):
                break
        raise DamagedShardError(
            f"The shard {self.store.place(shard)} is damaged: {row.name} is not what the index says. "
            "Copy or write it again."
        )

    def _fetch_ahead(self, shard: int) -> None:
        """Begin to fetch the next window of shards when the first picture of a window is read."""
        if after := self._next.get(shard):
            self._next = {each: then for each, then in self._next.items() if then != after}
            threading.Thread(target=_fetch, args=(self.store, after), daemon=True).start()

    def _where(self, row: Row) -> str:
        return f"{self.store.place(row.place[0])}/{row.name}"


def _fetch(store: Store, shards: tuple[int, ...]) -> None:
    """Fetch shards into the cache. Errors show when the pictures are read."""
    with suppress(OSError):
        for shard in shards:
            store.file(shard)


def shard_windows(shards: Tensor, window: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """The distinct shards in a random order, in groups of ``window``. shards: int64 (samples)."""
    present = shards.unique()
    shuffled = present[torch.randperm(len(present), generator=generator)].tolist()
    return [tuple(shuffled[first : first + window]) for first in range(0, len(shuffled), window)]


def windowed_order(shards: Tensor, windows: Sequence[tuple[int, ...]], generator: torch.Generator) -> Tensor:
    """An order of samples: shuffled within each window of shards, one window after the other.

    shards: int64 (samples): the shard of each. Returns int64 (samples) positions.
    """
    ranks = torch.zeros(int(shards.max()) + 1, dtype=torch.int64)
    for rank, window in enumerate(windows):
        ranks[list(window)] = rank
    shuffled = torch.randperm(len(shards), generator=generator)
    return shuffled[ranks[shards[shuffled]].argsort(stable=True)]
