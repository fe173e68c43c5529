"""A folder of pictures, each with its layout as JSON beside it, as a data set of random crops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.randomness import seeded_generator

from .adapter_stage import LayoutBatch

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
KEPT = 0.5  # a box stays when at least this part of its area is in the crop
ORDER, CROP = 0, 1  # what random numbers are for


class Square(NamedTuple):
    """A part of a picture, in its pixels: left, top, and the length of the sides."""

    x: int
    y: int
    side: int


class PictureFolder(Dataset[LayoutBatch]):
    """Number -> a batch of pictures (B, 3, size, size) with their layouts, always the same; each epoch in an order of its own.

    Beside ``name.jpg`` stands ``name.json`` in a format that ``ifadapter_core.layout`` reads: the release's, with boxes in pixels
    of this picture (or of the ``width`` and ``height`` that the JSON gives), or our own. Pictures are taken as they are shown,
    that is, turned by their EXIF orientation, and cut to a random square of their shorter side. They are never mirrored:
    descriptions may say left and right.

    Raises ValueError that names the file when a picture has no layout, a wrong one, or one without boxes.
    """

    def __init__(self, folder: str | Path, size: int, batch_size: int, seed: int = 0) -> None:
        if not Path(folder).is_dir():
            raise ValueError(f"There is no folder {folder}.")
        self.pictures = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not self.pictures:
            raise ValueError(f"There are no pictures in {folder}; expected {', '.join(SUFFIXES)}.")
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        for path in tqdm(self.pictures, desc="layouts", unit="", dynamic_ncols=True, leave=False):
            with _open(path) as picture:
                read_layout(path, *shown_size(picture))

    def __getitem__(self, number: int) -> LayoutBatch:
        pictures, layouts = zip(
            *(
                self.picture(place)
                for place in range(number * self.batch_size, (number + 1) * self.batch_size)
            ),
            strict=True,
        )
        return LayoutBatch(list(layouts), images=torch.stack(pictures))

    def picture(self, place: int) -> tuple[Tensor, Layout]:
        """The picture at a place in the row of all epochs: (3, size, size) in -1..1, and its layout."""
        epoch, rank = divmod(place, len(self.pictures))
        path = self.pictures[_order(len(self.pictures), self.seed, epoch)[rank]]
        with _open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
        square, layout = crop(read_layout(path, *picture.size), seeded_generator(self.seed, place, CROP))
        corners = (square.x, square.y, square.x + square.side, square.y + square.side)
        pixels = np.asarray(
            picture.resize((self.size, self.size), Image.Resampling.LANCZOS, box=corners), np.float32
        )
        return torch.from_numpy(pixels.transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)), self._sized(
            layout
        )

    def central_layouts(self, count: int) -> list[Layout]:
        """Layouts of the first pictures, of the square in their middle."""
        layouts = []
        for path in self.pictures[:count]:
            with _open(path) as picture:
                layouts.append(self._sized(crop(read_layout(path, *shown_size(picture)))[1]))
        return layouts

    def _sized(self, layout: Layout) -> Layout:
        return Layout(self.size, self.size, layout.instances, layout.caption)


def read_layout(picture: Path, width: int, height: int) -> Layout:
    """The layout of a picture of width x height pixels. Raises ValueError that names the file."""
    path = picture.with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"{picture} has no layout: there is no {path.name} beside it.")
    try:
        text = path.read_text("utf-8")
        data = json.loads(text)
        if isinstance(data, dict) and "annotations" in data:
            text = json.dumps({"width": width, "height": height, **data})
        layout = from_json(text, width, height)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not layout.instances:
        raise ValueError(f"{path} has no boxes. Describe at least one instance, or remove the picture.")
    return layout


def crop(layout: Layout, randomness: torch.Generator | None = None) -> tuple[Square, Layout]:
    """A square of the shorter side, by lot or else in the middle, and what of the layout is in it: at least one box.

    A square that would keep no box is moved until a box, by lot or else the first, stands in its middle.
    """
    side = min(layout.width, layout.height)
    room = (layout.width - side, layout.height - side)
    square = Square(
        *(extent // 2 if randomness is None else _lot(extent + 1, randomness) for extent in room), side
    )
    instances = [inside for instance in layout.instances if (inside := _cut(layout, instance, square, KEPT))]
    if not instances:
        chosen = layout.instances[0 if randomness is None else _lot(len(layout.instances), randomness)]
        x0, y0, x1, y1 = _pixels(layout, chosen)
        centres = ((x0 + x1) / 2, (y0 + y1) / 2)
        square = Square(
            *(
                min(max(round(centre - side / 2), 0), extent)
                for centre, extent in zip(centres, room, strict=True)
            ),
            side,
        )
        cuts = [
            _cut(layout, instance, square, 0 if instance is chosen else KEPT) for instance in layout.instances
        ]
        instances = [inside for inside in cuts if inside]
    return square, Layout(side, side, tuple(instances), layout.caption)


def shown_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of a picture turned as its EXIF data say."""
    turned = picture.getexif().get(ExifTags.Base.Orientation) in TURNED
    return (picture.height, picture.width) if turned else picture.size


def _cut(layout: Layout, instance: Instance, square: Square, kept: float) -> Instance | None:
    """An instance as it stands in a part of its picture, unless less than ``kept`` of its area does."""
    x0, y0, x1, y1 = _pixels(layout, instance)
    left, right = (min(max(x - square.x, 0), square.side) for x in (x0, x1))
    top, bottom = (min(max(y - square.y, 0), square.side) for y in (y0, y1))
    area = (right - left) * (bottom - top)
    if not area or area < kept * (x1 - x0) * (y1 - y0):
        return None
    box = Box(left / square.side, top / square.side, right / square.side, bottom / square.side)
    return Instance(box, instance.local_description, instance.strength)


def _pixels(layout: Layout, instance: Instance) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = instance.box
    return x0 * layout.width, y0 * layout.height, x1 * layout.width, y1 * layout.height


def _lot(count: int, randomness: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=randomness))


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=seeded_generator(seed, epoch, ORDER))


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    """Whatever is wrong with a picture becomes a ValueError that names it."""
    try:
        with Image.open(path) as picture:
            yield picture
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
