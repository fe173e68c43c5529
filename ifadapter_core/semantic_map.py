"""Inputs of the instance semantic map (paper 3.3.2): tokens, masks and the overlap rule."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import Geometry, build_geometry, cell_range, crop
from .layout import Box
from .tokens import InstanceTokens

BACKGROUND = -1  # owner of a cell without an instance


@dataclass(frozen=True, eq=False)
class SemanticMap:
    """Instance tokens and the rules that divide the picture between them.

    Holds the inputs from which each adapted layer computes its instance semantic map.

    tokens: tokens, boxes and strengths of N instances.
    masks: (N, H, W) in 0..1 over the whole picture, any size; refine the boxes. None: whole boxes.
    front_hides_back: in overlaps, only the nearest (last) instance covers a cell. False: the
        learned gate mixes them.

    Raises ValueError for masks that do not fit the instances.
    """

    tokens: InstanceTokens
    masks: Tensor | None = None
    front_hides_back: bool = False

    def __post_init__(self) -> None:
        if self.masks is not None:
            check_masks(self.masks, self.tokens.boxes)

    def geometry(self, height: int, width: int, window: Box | None = None) -> Geometry:
        """Geometry on a grid of height x width cells over the picture, or over a window of it."""
        boxes, masks = (
            (self.tokens.boxes, self.masks) if window is None else crop(self.tokens.boxes, window, self.masks)
        )
        return build_geometry(boxes, height, width, masks, self.front_hides_back)


SemanticMapBatch = tuple[SemanticMap, ...]  # one map per image of a batch


def as_batch(*values: SemanticMap | SemanticMapBatch) -> SemanticMapBatch:
    """Join maps and batches to one batch. Raises ValueError if tokens per instance differ."""
    maps = tuple(part for value in values for part in ((value,) if isinstance(value, SemanticMap) else value))
    counts = sorted({part.tokens.cond.shape[1] for part in maps if len(part.tokens)})
    if len(counts) > 1:
        raise ValueError(
            f"The semantic maps have {' and '.join(map(str, counts))} tokens for each instance. "
            "Encode all layouts of a batch with the same adapter and the same switches."
        )
    return maps


def check_masks(masks: Tensor, boxes: Tensor) -> None:
    """Check that masks (N, H, W) fit boxes (N, 4): one per box, finite and not empty inside it.

    Raises ValueError that names the mask.
    """
    if masks.ndim != 3 or masks.shape[0] != boxes.shape[0]:
        raise ValueError(
            f"masks has shape {tuple(masks.shape)} for {boxes.shape[0]} instances. "
            "Give a batch with one mask for each."
        )
    if masks.is_meta:
        raise ValueError(
            f"masks has shape {tuple(masks.shape)} and no values (device meta). Load them before this node."
        )
    for number, (mask, box) in enumerate(zip(masks, boxes.tolist(), strict=True), 1):
        cells = cell_range(box, *mask.shape)
        inside = mask[cells.rows, cells.columns]
        if not inside.isfinite().all():
            raise ValueError(
                f"Mask {number} is not finite inside box {number}: some of its pixels are NaN or infinite; "
                "expected 0 to 1. Check the node that makes it."
            )
        if not inside.max() > 0:
            raise ValueError(
                f"Mask {number} is empty inside box {number}, so the instance would vanish. "
                "Draw it inside its box."
            )


def cell_owners(geometry: Geometry) -> Tensor:
    """The instance with the largest area gate on each cell, or BACKGROUND: int64 (height, width).

    Only a preview: the learned importance depends on the picture and is known during sampling only.
    """
    owners = torch.full((geometry.height, geometry.width), BACKGROUND)
    best = torch.zeros(geometry.height, geometry.width)
    for index, (coverage, gate) in enumerate(zip(geometry.coverages, geometry.area_gates, strict=True)):
        cells = coverage.cells
        wins = best[cells.rows, cells.columns] <= gate
        if coverage.visible is not None:
            wins &= coverage.visible
        owners[cells.rows, cells.columns][wins] = index
        best[cells.rows, cells.columns][wins] = gate
    return owners
