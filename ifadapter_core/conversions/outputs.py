"""All that a layout gives to nodes that do not know layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..layout import Layout
from ..layout_formats import to_json
from .boxes import bounding_boxes, box_numbers
from .elements import box_elements
from .masks import box_masks, shrunk_to_a_pixel
from .segments import Segment, box_segments


@dataclass(frozen=True, eq=False)
class LayoutOutputs:
    """The values of a layout, each from back to front.

    masks: (N, height, width) of the canvas, float32 in 0..1; a single empty mask if there is no instance,
        because a batch of none breaks the host's nodes.
    boxes: one frame of BOUNDING_BOX entries.
    frames: one frame for each box; a single empty frame if there is no instance.
    elements: of an Ideogram 4 prompt.
    numbers: left, top, width, height in whole pixels.
    descriptions: local descriptions; a single empty one if there is no instance, because the host cannot
        run a node over an empty list.
    text: JSON in this pack's format.
    segments: content of SEGS.
    notices: about masks without a pixel or shrunk to one, and an empty layout.
    """

    masks: Tensor
    boxes: list[dict[str, Any]]
    frames: list[list[dict[str, Any]]]
    elements: list[dict[str, Any]]
    numbers: list[tuple[int, int, int, int]]
    descriptions: list[str]
    text: str
    segments: list[Segment]
    notices: tuple[str, ...]


def layout_outputs(
    layout: Layout, *, visible: bool = False, grow: int = 0, feather: int = 0
) -> LayoutOutputs:
    """All outputs of a layout. visible, grow, feather: of the masks and segments, see ``box_masks``."""
    masks = box_masks(layout.boxes, layout.height, layout.width, visible=visible, grow=grow, feather=feather)
    boxes = bounding_boxes(layout)
    is_empty = not layout.instances
    return LayoutOutputs(
        masks=torch.zeros(1, layout.height, layout.width) if is_empty else masks,
        boxes=boxes,
        frames=[[box] for box in boxes] or [[]],
        elements=box_elements(layout),
        numbers=box_numbers(layout),
        descriptions=layout.local_descriptions or [""],
        text=to_json(layout),
        segments=box_segments(layout, masks),
        notices=(*_notices(masks), *_shrink_notice(layout, grow)),
    )


def _notices(masks: Tensor) -> list[str]:
    if not len(masks):
        return [
            "The layout has no instances: the masks are one empty mask, the descriptions one empty text, "
            "and there are no boxes."
        ]
    hidden = ", ".join(str(number) for number, mask in enumerate(masks, 1) if not mask.any())
    return [f"Box {hidden}: completely hidden by nearer boxes, so its mask is empty."] if hidden else []


def _shrink_notice(layout: Layout, grow: int) -> list[str]:
    shrunk = shrunk_to_a_pixel(layout.boxes, layout.height, layout.width, grow)
    numbers = ", ".join(str(index + 1) for index in shrunk)
    said = f"Box {numbers}: too small to shrink by {-grow} pixels, so a side of its mask is one pixel."
    return [said] if shrunk else []
