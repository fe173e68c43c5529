"""Crops of layouts: the boxes of a crop still frame the same things."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.base_model import SizeConditioning

from .buckets import Canvas

MIN_VISIBLE = 0.5  # a crop keeps a box if this fraction of its area is inside
EDGE_PX = 1e-6  # boxes are fractions: their edges in pixels are inexact


class Window(NamedTuple):
    """The part of a picture that a crop shows, in its pixels."""

    x: int
    y: int
    width: float
    height: float

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return (self.x, self.y, self.x + self.width, self.y + self.height)


class Crop(NamedTuple):
    """A crop of a picture, scaled to a canvas.

    window: the part of the picture.
    layout: its boxes; its size is that of the canvas.
    size: what SDXL is told.
    """

    window: Window
    layout: Layout
    size: SizeConditioning


def crop(
    layout: Layout, canvas: Canvas, generator: torch.Generator | None = None, whole_boxes: bool = False
) -> Crop:
    """Crop a picture to the shape of a canvas, as little as possible: at random, or else centrally.

    The crop keeps boxes that are mostly inside (``MIN_VISIBLE``), and at least one: a crop without any
    is moved so that a box, a random one or else the first, is as near to its center as possible.

    generator: None = the central crop.
    whole_boxes: choose among the crops in which all boxes are whole, if there are any. And give a layout
        without a caption the kept boxes' descriptions as its caption.
    """
    width = min(layout.width, layout.height * canvas.width / canvas.height)
    height = min(layout.height, layout.width * canvas.height / canvas.width)
    room = (int(layout.width - width), int(layout.height - height))
    ranges = [(0, extent) for extent in room]
    if whole_boxes:
        ranges = [_whole(layout, axis, length, ranges[axis]) for axis, length in enumerate((width, height))]
    x, y = (
        (low + high) // 2 if generator is None else low + _random_index(high - low + 1, generator)
        for low, high in ranges
    )
    window = Window(x, y, width, height)
    instances = [_crop_instance(layout, instance, window, MIN_VISIBLE) for instance in layout.instances]

    if not any(instances):
        index = 0 if generator is None else _random_index(len(layout.instances), generator)
        chosen = layout.instances[index]
        x0, y0, x1, y1 = _pixels(layout, chosen)
        centers = ((x0 + x1) / 2, (y0 + y1) / 2)
        x, y = (
            min(max(round(center - length / 2), 0), extent)
            for center, length, extent in zip(centers, (width, height), room, strict=True)
        )
        window = Window(x, y, width, height)
        instances = [
            _crop_instance(layout, instance, window, 0 if instance is chosen else MIN_VISIBLE)
            for instance in layout.instances
        ]

    kept = tuple(filter(None, instances))
    cropped = Layout(canvas.width, canvas.height, kept, layout.caption)
    if whole_boxes and not layout.caption:
        cropped = Layout(canvas.width, canvas.height, kept, cropped.prompt)
    scale = canvas.width / width
    size = SizeConditioning(
        original=(layout.height, layout.width),
        crop=(round(window.y * scale), round(window.x * scale)),
        target=(canvas.height, canvas.width),
    )
    return Crop(window, cropped, size)


def _whole(layout: Layout, axis: int, length: float, positions: tuple[int, int]) -> tuple[int, int]:
    """The first and last position of a window in which all boxes are whole, or else of all positions.

    axis: 0 = horizontal, 1 = vertical. length: of the window, in pixels.
    """
    boxes = [_pixels(layout, instance) for instance in layout.instances]
    low = max(math.ceil(max(box[axis + 2] for box in boxes) - length - EDGE_PX), positions[0])
    high = min(math.floor(min(box[axis] for box in boxes) + EDGE_PX), positions[1])
    return (low, high) if low <= high else positions


def _crop_instance(layout: Layout, instance: Instance, window: Window, min_visible: float) -> Instance | None:
    """An instance with its box cropped, or None if less than ``min_visible`` of it is inside."""
    x0, y0, x1, y1 = _pixels(layout, instance)
    left, right = (min(max(x - window.x, 0), window.width) for x in (x0, x1))
    top, bottom = (min(max(y - window.y, 0), window.height) for y in (y0, y1))
    area = (right - left) * (bottom - top)
    if not area or area < min_visible * (x1 - x0) * (y1 - y0):
        return None
    box = Box(left / window.width, top / window.height, right / window.width, bottom / window.height)
    return Instance(box, instance.local_description, instance.strength)


def _pixels(layout: Layout, instance: Instance) -> tuple[float, float, float, float]:
    """The box of an instance: x0 y0 x1 y1 in pixels."""
    x0, y0, x1, y1 = instance.box
    return x0 * layout.width, y0 * layout.height, x1 * layout.width, y1 * layout.height


def _random_index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
