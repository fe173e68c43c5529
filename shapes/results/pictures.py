"""The pictures of one set of layouts, painted in chunks that are cached to resume a run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.contact_sheet import to_bytes
from ifadapter_diffusers.painter import Painter

from ..drawing import Pixels, draw
from ..methods import METHODS
from ..scene import Scene
from .rows import AUTOENCODER


class Pictures:
    """Pictures of scenes, by row of the tables.

    painter: paints the methods' rows.
    folder: of the cache. Its name must depend on the weights and on every setting of the painter; the
        files are named by their scenes.
    chunk: layouts painted together, a multiple of ``NOISE_ROWS``.
    """

    def __init__(self, painter: Painter, folder: Path, scenes: Sequence[Scene], chunk: int) -> None:
        self.painter = painter
        self.folder = folder
        self.scenes = scenes
        self.chunk = chunk
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def starts(self) -> range:
        """The first scene of each chunk."""
        return range(0, len(self.scenes), self.chunk)

    def chunks(self, row: str) -> Iterator[Pixels]:
        """The pictures of a row, chunk by chunk: (layouts, H, W, 3)."""
        for first in self.starts:
            name = scenes_name(self.scenes[first : first + self.chunk])
            path = self.folder / f"{row}_{first:05d}_{self.chunk}_{name}.npy"
            if not path.exists():
                # Atomic write: temporary file, then rename.
                with path.with_suffix(".new").open("wb") as file:
                    np.save(file, self._paint(row, first))
                os.replace(path.with_suffix(".new"), path)
            yield np.load(path)

    def all(self, row: str) -> Pixels:
        """The pictures of a row: (scenes, H, W, 3)."""
        return np.concatenate(list(self.chunks(row)))

    def _paint(self, row: str, first: int) -> Pixels:
        scenes = self.scenes[first : first + self.chunk]
        if row in METHODS:
            return self.painter.paint(METHODS[row], [scene.layout for scene in scenes], first)
        drawings = np.stack([draw(scene) for scene in scenes])
        return through_autoencoder(self.painter.base, drawings) if row == AUTOENCODER else drawings


def scenes_name(scenes: Sequence[Scene]) -> str:
    """Content hash of scenes, for the name of a file of their pictures."""
    return hashlib.sha256(json.dumps(repr(scenes)).encode()).hexdigest()[:8]


def through_autoencoder(base: BaseModel, pictures: Pixels) -> Pixels:
    """Pictures (B, H, W, 3) encoded and decoded, with nothing sampled: what a perfect UNet would give."""
    images = torch.from_numpy(pictures).movedim(-1, 1).float() / 127.5 - 1
    return to_bytes(base.decode(base.encode(images)))
