"""Samples whose names, sizes and layouts come from an index."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

from ifadapter_core.layout import Layout

from .index import Index, Row
from .samples import Numbers, Samples


class IndexedSamples(Samples):
    """The samples of an index. Subclasses read the pixels.

    slots: most boxes that a layout may have; None = any number.
    """

    def __init__(self, index: Index, slots: int | None) -> None:
        self.index = index
        bad = dict(index.reasons)
        if slots is not None:
            for number in np.flatnonzero(index.boxes > slots).tolist():
                bad[number] = (
                    f"{self.layout_place(number)} has {index.boxes[number]} boxes, but the adapter has "
                    f"{slots} slots. Remove boxes, or raise adapter.shape.slots."
                )
        self._bad = dict(sorted(bad.items()))

    @property
    def bad(self) -> Mapping[int, str]:
        return self._bad

    def __len__(self) -> int:
        return len(self.index)

    def name(self, index: int) -> str:
        return self.index.row(index).name

    def size(self, index: int) -> tuple[int, int]:
        self._refuse_bad(index)
        width, height = self.index.sizes[index].tolist()
        return width, height

    def layout(self, index: int) -> Layout:
        return self.usable_row(index).read_layout()

    def picture(self, index: int) -> Image.Image:
        row = self.usable_row(index)
        picture = self.read(row)
        if picture.size != row.size:
            raise ValueError(
                f"{self.where(index)} has changed since the start: it has {picture.width} x "
                f"{picture.height} pixels in place of {row.size[0]} x {row.size[1]}. Start again."
            )
        return picture

    def identity(self, index: int) -> str:
        return self.index.ids[index].decode()

    def fingerprint(self, among: Numbers | None = None) -> str:
        chosen = np.arange(len(self)) if among is None else np.asarray(among, np.int64)
        return hashlib.sha256(self.index.ids[chosen].tobytes() + self.order_key(chosen)).hexdigest()

    def order_key(self, indices: npt.NDArray[np.int64]) -> bytes:
        """What decides the order of samples, if it is not their number alone."""
        return b""

    def usable_row(self, index: int) -> Row:
        """The row of a sample. Raises ValueError if it is bad."""
        self._refuse_bad(index)
        return self.index.row(index)

    def _refuse_bad(self, index: int) -> None:
        if index in self._bad:
            raise ValueError(self._bad[index])

    @abstractmethod
    def read(self, row: Row) -> Image.Image:
        """The picture of a sample in RGB. Raises ValueError if it cannot be read."""

    @abstractmethod
    def layout_place(self, index: int) -> str:
        """The file of a layout in messages."""
