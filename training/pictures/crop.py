"""Square crops of layouts: the boxes of a crop still frame the same things."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ifadapter_core.layout import Box, Instance, Layout

MIN_VISIBLE = 0.5  # a crop keeps a box if this fraction of its area is inside


class Square(NamedTuple):
    """A square crop of a picture, in its pixels: left, top, side."""

    x: int
    y: int
    side: int


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
