"""The pictures that crops are cut from, and the layout of each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeVar

from torch import Tensor

from ..layout import Layout, LayoutError
from ..layout_formats import frames_of, linked_layout, read_linked
from .remap import stretch_notice

Value = TypeVar("Value")


def pictures_of(images: Sequence[Tensor]) -> list[Tensor]:
    """The pictures (H, W, C) of a list of IMAGE batches (N, H, W, C). Raises LayoutError."""
    for batch in images:
        if not isinstance(batch, Tensor) or batch.ndim != 4 or 0 in batch.shape:
            raise LayoutError(
                f"A linked image is {_described(batch)}; expected pictures (number, height, width, 3)."
            )
    return list(chain.from_iterable(batch.unbind() for batch in images))


def masks_of(masks: Sequence[Tensor]) -> list[Tensor]:
    """The masks (H, W) of a list of MASK batches (N, H, W). Raises LayoutError."""
    found: list[Tensor] = []
    for batch in masks:
        if not isinstance(batch, Tensor) or batch.ndim not in (2, 3) or 0 in batch.shape:
            raise LayoutError(
                f"A linked mask is {_described(batch)}; expected masks (number, height, width)."
            )
        found += batch.unbind() if batch.ndim == 3 else [batch]
    return found


def one_each(values: Sequence[Value], images: Sequence[Tensor], what: str) -> list[Value]:
    """A value for each picture of a list of batches.

    values: one for all pictures, one for each picture, or one for each batch.
    what: name of the values for the error message.

    Raises LayoutError for other numbers of values.
    """
    counts = [len(batch) for batch in images]
    if len(values) == 1:
        return [values[0]] * sum(counts)
    if len(values) == sum(counts):
        return list(values)
    if len(values) == len(counts):
        return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]
    raise LayoutError(
        f"{sum(counts)} pictures and {len(values)} {what} are linked. Link one for all pictures, or one for "
        "each of them."
    )


def source_layouts(
    images: Sequence[Tensor], layouts: Sequence[Layout] | None, boxes: Sequence[Any] | None, bbox_format: str
) -> tuple[list[Layout], list[str]]:
    """The layout of each picture, from linked layouts or from linked boxes, and notices.

    Raises LayoutError unless one of the two is linked.
    """
    if layouts is not None and boxes is not None:
        raise LayoutError("Both a layout and boxes are linked, but one of them is cut out. Remove one link.")
    if boxes is not None:
        return layouts_of_boxes(boxes, images, bbox_format)
    if layouts is None:
        raise LayoutError("Neither a layout nor boxes are linked. Link one: it says what to cut out.")
    return one_each(layouts, images, "layouts"), []


def layouts_of_boxes(
    values: Sequence[Any], images: Sequence[Tensor], bbox_format: str = "xywh"
) -> tuple[list[Layout], list[str]]:
    """A layout for each picture of a list of batches from linked boxes, and notices.

    values: see ``read_linked``; each may have a frame of boxes for each picture.
    bbox_format: of boxes that are four bare numbers.

    Raises LayoutError.
    """
    frames = one_each([frame for value in values for frame in frames_of(value)], images, "frames of boxes")
    layouts, notices = [], []
    for number, (frame, picture) in enumerate(zip(frames, pictures_of(images), strict=True), 1):
        height, width = picture.shape[:2]
        layout, found = linked_layout(read_linked(frame, width, height, bbox_format), width, height)
        layouts.append(layout)
        notices += [f"Picture {number}: {notice}" if len(frames) > 1 else notice for notice in found]
    return layouts, notices


def proportion_notices(layouts: Sequence[Layout], pictures: Sequence[Tensor]) -> list[str]:
    """A notice for each picture whose proportions are not those of its layout: boxes are stretched."""
    notices = []
    for number, (layout, picture) in enumerate(zip(layouts, pictures, strict=True), 1):
        height, width = picture.shape[:2]
        notices += stretch_notice(layout, width, height, f"picture {number}")
    return notices


def _described(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
