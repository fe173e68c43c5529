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

    boxes: fractions of the picture, from back to front. Edges are rounded to pixels; a box has at
        least one pixel.
    height, width: of the masks in pixels.
    visible: leave out what nearer boxes cover.
    grow: pixels to add on each side, before the visible part is found; negative shrinks.
    feather: pixels over which a mask falls to 0 at its own edges; edges of the picture stay hard.
    """
    masks = torch.zeros(len(boxes), height, width)
    for mask, box in zip(masks, boxes, strict=True):
        x0, x1 = _pixels(box.x0, box.x1, width, grow)
        y0, y1 = _pixels(box.y0, box.y1, height, grow)
        columns, rows = _ramp(x0, x1, width, feather), _ramp(y0, y1, height, feather)
        torch.outer(rows, columns, out=mask)
    if visible:
        nearer = torch.zeros(height, width)
        for mask in reversed(masks.unbind()):
            whole = mask.clone()
            mask.mul_(1 - nearer)
            nearer = torch.maximum(nearer, whole)
    return masks


def _pixels(start: float, end: float, size: int, grow: int) -> tuple[int, int]:
    """First pixel of a box along one side, and the one behind its last."""
    first = min(max(round(start * size) - grow, 0), size - 1)
    last = min(max(round(end * size) + grow, first + 1), size)
    return first, last


def _ramp(first: int, last: int, size: int, feather: int) -> Tensor:
    """Weight of each pixel along one side: 1 in the box, falling to 0 at edges inside the picture."""
    centres = torch.arange(size) + 0.5
    ramp = ((centres > first) & (centres < last)).float()
    if feather > 0:
        if first > 0:
            ramp *= ((centres - first) / feather).clamp(0, 1)
        if last < size:
            ramp *= ((last - centres) / feather).clamp(0, 1)
    return ramp
