"""A dataset of random crops from a folder of pictures with layouts as JSON."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import from_json
from ifadapter_diffusers.pictures import SUFFIXES, decoded_sizes, picture_files, read_picture
from ifadapter_diffusers.randomness import seeded_generator

from .adapter_stage import LayoutBatch

ROUNDED_PX = 2  # sides of a scaled picture are whole pixels, which changes its shape by this much at most
MAX_SIDE_PX = 1e9  # of a size that a layout may give
MIN_VISIBLE = 0.5  # a crop keeps a box if this fraction of its area is inside
ORDER_STREAM, CROP_STREAM = 0, 1  # purposes of random numbers


class Square(NamedTuple):
    """A square crop of a picture, in its pixels: left, top, side."""

    x: int
    y: int
    side: int


class PictureFolder(Dataset[LayoutBatch]):
    """Index -> batch of pictures (B, 3, size, size) and layouts, deterministic; shuffled each epoch.

    Each ``name.jpg`` needs a ``name.json`` beside it, in any format of
    ``ifadapter_core.layout_formats``. In the release's, boxes are in pixels of the picture, or of the
    ``width`` and ``height`` in the JSON. Pictures are read by ``ifadapter_diffusers.pictures`` and
    cropped to a random square of their shorter side. They are not mirrored: descriptions may say left
    and right.

    folder: searched with its subfolders.
    size: side of the pictures, in pixels.
    seed: of the order and the crops.

    Raises ValueError naming the file if a picture is broken or of a format that is not read, or if it
    has no layout, an invalid one, or one without boxes.
    """

    def __init__(self, folder: str | Path, size: int, batch_size: int, seed: int = 0) -> None:
        if not Path(folder).is_dir():
            raise ValueError(f"There is no folder {folder}.")
        self.pictures = picture_files(Path(folder), "**/*")
        if not self.pictures:
            raise ValueError(f"There are no pictures in {folder}; expected {', '.join(SUFFIXES)}.")
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        # Read all files once, so that errors appear before the training starts.
        sizes = decoded_sizes(self.pictures)
        bar = tqdm(self.pictures, desc="pictures", unit="", dynamic_ncols=True, leave=False)
        for path, (width, height) in zip(bar, sizes, strict=True):
            read_layout(path, width, height)

    def __getitem__(self, number: int) -> LayoutBatch:
        first = number * self.batch_size
        samples = [self.picture(index) for index in range(first, first + self.batch_size)]
        pictures, layouts = zip(*samples, strict=True)
        return LayoutBatch(list(layouts), images=torch.stack(pictures))

    def picture(self, index: int) -> tuple[Tensor, Layout]:
        """A picture (3, size, size) in -1..1 and its layout. index: counts through all epochs."""
        epoch, rank = divmod(index, len(self.pictures))
        path = self.pictures[_order(len(self.pictures), self.seed, epoch)[rank]]
        picture = read_picture(path)
        generator = seeded_generator(self.seed, index, CROP_STREAM)
        square, layout = crop(read_layout(path, *picture.size), generator)
        corners = (square.x, square.y, square.x + square.side, square.y + square.side)
        resized = picture.resize((self.size, self.size), Image.Resampling.LANCZOS, box=corners)
        pixels = np.asarray(resized, np.float32).transpose(2, 0, 1)
        return torch.from_numpy(pixels / np.float32(127.5) - np.float32(1)), self._resize(layout)

    def central_layouts(self, count: int) -> list[Layout]:
        """Layouts of the first pictures, cropped to the central square."""
        paths = self.pictures[:count]
        layouts = [read_layout(path, *size) for path, size in zip(paths, decoded_sizes(paths), strict=True)]
        return [self._resize(crop(layout)[1]) for layout in layouts]

    def _resize(self, layout: Layout) -> Layout:
        return Layout(self.size, self.size, layout.instances, layout.caption)


def read_layout(picture: Path, width: int, height: int) -> Layout:
    """The layout of a picture of width x height pixels.

    Raises ValueError naming the file, also if the layout is of a picture of another shape.
    """
    path = picture.with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"{picture} has no layout: there is no {path.name} beside it.")
    try:
        text = path.read_text("utf-8-sig")
        data = json.loads(text)
        if isinstance(data, dict):
            given = {key: data[key] for key in ("width", "height") if data.get(key) is not None}
            size = {"width": width, "height": height, **given}
            _check_shape(picture, width, height, size["width"], size["height"])
            if "annotations" in data:
                # The release's format without a canvas size: boxes default to pixels of this picture.
                text = json.dumps({**data, **size})
        layout = from_json(text, width, height)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not layout.instances:
        raise ValueError(f"{path} has no boxes. Describe at least one instance, or remove the picture.")
    return layout


def crop(layout: Layout, generator: torch.Generator | None = None) -> tuple[Square, Layout]:
    """Crop a layout to a square of its shorter side: random, or central without a generator.

    The crop keeps boxes that are mostly inside (``MIN_VISIBLE``), and at least one: a crop without
    any is moved to center on a box, a random one or else the first.
    """
    side = min(layout.width, layout.height)
    room = (layout.width - side, layout.height - side)
    x, y = (extent // 2 if generator is None else _random_index(extent + 1, generator) for extent in room)
    square = Square(x, y, side)
    instances = [_crop_instance(layout, instance, square, MIN_VISIBLE) for instance in layout.instances]

    if not any(instances):
        index = 0 if generator is None else _random_index(len(layout.instances), generator)
        chosen = layout.instances[index]
        x0, y0, x1, y1 = _pixels(layout, chosen)
        x, y = (
            min(max(round(center - side / 2), 0), extent)
            for center, extent in zip(((x0 + x1) / 2, (y0 + y1) / 2), room, strict=True)
        )
        square = Square(x, y, side)
        instances = [
            _crop_instance(layout, instance, square, 0 if instance is chosen else MIN_VISIBLE)
            for instance in layout.instances
        ]
    return square, Layout(side, side, tuple(filter(None, instances)), layout.caption)


def _check_shape(picture: Path, width: int, height: int, own_width: Any, own_height: Any) -> None:
    """Raises ValueError if the size that a layout gives contradicts the picture's shape.

    width, height: of the picture, in pixels.
    """
    sides = (own_width, own_height)
    if not all(isinstance(side, (int, float)) and 1 <= side <= MAX_SIDE_PX for side in sides):
        return  # the reader of the format says what is wrong
    difference = math.log(width / height) - math.log(own_width / own_height)
    if abs(difference) > ROUNDED_PX / min(width, height, *sides):
        raise ValueError(
            f"Its width and height are {own_width:g} x {own_height:g}, but {picture.name} has "
            f"{width} x {height} pixels, which is another shape. Give the boxes in pixels of the picture "
            "after its EXIF orientation, with that width and height."
        )


def _crop_instance(layout: Layout, instance: Instance, square: Square, min_visible: float) -> Instance | None:
    """An instance with its box cropped, or None if less than ``min_visible`` of it is inside."""
    x0, y0, x1, y1 = _pixels(layout, instance)
    left, right = (min(max(x - square.x, 0), square.side) for x in (x0, x1))
    top, bottom = (min(max(y - square.y, 0), square.side) for y in (y0, y1))
    area = (right - left) * (bottom - top)
    if not area or area < min_visible * (x1 - x0) * (y1 - y0):
        return None
    box = Box(left / square.side, top / square.side, right / square.side, bottom / square.side)
    return Instance(box, instance.local_description, instance.strength)


def _pixels(layout: Layout, instance: Instance) -> tuple[float, float, float, float]:
    """The box of an instance: x0 y0 x1 y1 in pixels."""
    x0, y0, x1, y1 = instance.box
    return x0 * layout.width, y0 * layout.height, x1 * layout.width, y1 * layout.height


def _random_index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the pictures in an epoch."""
    return torch.randperm(count, generator=seeded_generator(seed, epoch, ORDER_STREAM))
