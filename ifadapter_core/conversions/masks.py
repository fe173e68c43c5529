"""Boxes as masks of a picture, whole or only where they are visible."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..layout import Box


def box_masks(
    boxes: Sequence[Box],
    height: int,
    width: int,
    *,
    visible: bool = False,
    grow: int = 0,
    feather: int = 0,
) -> Tensor:
    """One mask (N, height, width) for each box, float32 in 0..1.

    boxes: fractions of the picture, from back to front. Edges are rounded to pixels; a mask has at
        least one pixel.
    height, width: of the masks in pixels.
    visible: leave out what nearer boxes cover, as in alpha compositing: the sum of the masks is at most 1
        in each pixel, and with feathered edges the box behind shows through the box in front.
    grow: pixels to add on each side, before the visible part is found; negative shrinks, down to the
        pixel in the middle of the box.
    feather: pixels over which a mask falls to 0 at its own edges, at most half of its side, so that the
        pixel in the middle is 1; edges of the picture stay hard.
    """
    masks = torch.zeros(len(boxes), height, width)
    for mask, box in zip(masks, boxes, strict=True):
        columns = _ramp(*_pixels(box.x0, box.x1, width, grow), width, feather)
        rows = _ramp(*_pixels(box.y0, box.y1, height, grow), height, feather)
        torch.outer(rows, columns, out=mask)
    if visible:
        uncovered = torch.ones(height, width)  # by nearer boxes
        for mask in reversed(masks.unbind()):
            whole = mask.clone()
            mask.mul_(uncovered)
            uncovered.mul_(1 - whole)
    return masks


def shrunk_to_a_pixel(boxes: Sequence[Box], height: int, width: int, grow: int) -> list[int]:
    """Indices of the boxes of which a negative ``grow`` leaves nothing along a side but a pixel."""

    def is_shrunk(start: float, end: float, size: int) -> bool:
        return grow < 0 and round(end * size) - round(start * size) + 2 * grow < 1

    return [
        index
        for index, box in enumerate(boxes)
        if is_shrunk(box.x0, box.x1, width) or is_shrunk(box.y0, box.y1, height)
    ]


def _pixels(start: float, end: float, size: int, grow: int) -> tuple[int, int]:
    """First pixel of a box along one side, and the one behind its last."""
    first, last = round(start * size), round(end * size)
    if last - first + 2 * grow < 1:  # nothing left: the pixel in the middle
        first = min((first + last) // 2, size - 1)
        return first, first + 1
    first = min(max(first - grow, 0), size - 1)
    return first, min(max(last + grow, first + 1), size)


def _ramp(first: int, last: int, size: int, feather: int) -> Tensor:
    """Weight of each pixel along one side: 1 in the box, falling to 0 at edges inside the picture."""
    centres = torch.arange(size) + 0.5
    ramp = ((centres > first) & (centres < last)).float()
    is_soft_twice = first > 0 and last < size
    width = min(feather, (last - first - is_soft_twice) / 2)
    if width > 0:
        if first > 0:
            ramp *= ((centres - first) / width).clamp(0, 1)
        if last < size:
            ramp *= ((last - centres) / width).clamp(0, 1)
    return ramp
