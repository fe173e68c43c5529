"""Which pictures a batch has: all of one canvas, determined by the number of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .buckets import Canvas

KEPT_EPOCHS = 3  # whose order is kept in memory: the current one and those from which batches are left


@dataclass(frozen=True)
class Use:
    """One use of a picture.

    index: counts the places of all epochs, so that it is another one at each use.
    epoch: of the use.
    samples: the picture, then those that take its place if it cannot be used, in this order.
    """

    index: int
    epoch: int
    samples: Sequence[int]


class BatchPlan:
    """The pictures of each batch.

    Pictures go in the order of the epoch into the batch of their canvas, and a full batch is trained.
    Batches that are not full at the end of an epoch are filled first in the next one. So each epoch uses
    every picture once, but for the pictures that wait: after an epoch, the numbers of uses differ by one
    at most where each canvas has as many pictures as a batch or more.

    canvases: of each picture; None for one that cannot be used.
    order: epoch -> the order of the pictures, int64 (N,).

    Raises ValueError if there is no picture.
    """

    def __init__(
        self, canvases: Sequence[Canvas | None], batch_size: int, order: Callable[[int], Tensor]
    ) -> None:
        self.canvases = sorted({canvas for canvas in canvases if canvas is not None})
        if not self.canvases:
            raise ValueError("No picture can be used.")
        numbers: dict[Canvas | None, int] = {canvas: number for number, canvas in enumerate(self.canvases)}
        self.batch_size = batch_size
        self.order = order
        self._buckets = np.array([numbers.get(canvas, -1) for canvas in canvases])
        self._counts = [int(count) for count in np.bincount(self._buckets[self._buckets >= 0])]
        self._epochs: dict[int, _Epoch] = {}

    def __call__(self, number: int) -> tuple[Canvas, list[Use]]:
        """The canvas of a batch, and its pictures."""
        epoch = number * self.batch_size // sum(self._counts)
        while self._first(epoch + 1) <= number:
            epoch += 1
        bucket, rank = self._epoch(epoch).batches[number - self._first(epoch)].tolist()
        first = rank * self.batch_size
        uses = [self._use(bucket, place) for place in range(first, first + self.batch_size)]
        return self.canvases[bucket], uses

    def _first(self, epoch: int) -> int:
        """The number of full batches before an epoch."""
        return sum(epoch * count // self.batch_size for count in self._counts)

    def _use(self, bucket: int, place: int) -> Use:
        """place: counts the uses of a bucket's pictures through all epochs."""
        number, rank = divmod(place, self._counts[bucket])
        epoch = self._epoch(number)
        index = number * len(self._buckets) + int(epoch.places[bucket][rank])
        return Use(index, number, _Following(epoch.samples[bucket], rank))

    def _epoch(self, number: int) -> _Epoch:
        if number not in self._epochs:
            while len(self._epochs) >= KEPT_EPOCHS:
                del self._epochs[max(self._epochs, key=lambda kept: abs(kept - number))]
            self._epochs[number] = self._planned(number)
        return self._epochs[number]

    def _planned(self, number: int) -> _Epoch:
        order = self.order(number).numpy()
        buckets = self._buckets[order]
        places = [np.flatnonzero(buckets == bucket) for bucket in range(len(self.canvases))]
        ends = []  # of batches: place of the last picture, bucket, rank among the bucket's batches
        for bucket, found in enumerate(places):
            before = number * self._counts[bucket]  # uses in earlier epochs
            filled = np.arange(before + 1, before + len(found) + 1)  # uses after each place
            last = filled % self.batch_size == 0
            ranks = filled[last] // self.batch_size - 1
            ends += [np.stack([found[last], np.full(len(ranks), bucket), ranks], axis=1)]
        joined = np.concatenate(ends)
        batches = joined[joined[:, 0].argsort(), 1:]
        return _Epoch(places, [order[found] for found in places], batches)


@dataclass(frozen=True)
class _Epoch:
    """The order of an epoch.

    places: of each bucket's pictures among all.
    samples: the pictures at these places.
    batches: (T, 2) bucket, and rank among all batches of the bucket.
    """

    places: list[np.ndarray]
    samples: list[np.ndarray]
    batches: np.ndarray


class _Following(Sequence[int]):
    """The pictures from a rank on, then those before it."""

    def __init__(self, samples: np.ndarray, rank: int) -> None:
        self._samples, self._rank = samples, rank

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, place: int) -> int:  # type: ignore[override]
        if not 0 <= place < len(self):
            raise IndexError(place)
        return int(self._samples[(self._rank + place) % len(self)])

    def __iter__(self) -> Iterator[int]:
        return (self[place] for place in range(len(self)))
