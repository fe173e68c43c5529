"""A layout as regions of a picture, each with its own prompt, for the host's regional conditioning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..layout import Box, Layout, LayoutError
from .masks import box_masks

CELL_PX = 8  # side of a cell of the latent picture of most models
LEAST_AREA_PX = 64  # shortest side of an area in the host's Conditioning (Set Area)
SMALL_AREA = (
    f"a side under {LEAST_AREA_PX} pixels, the host's smallest area, so its area was enlarged to that"
)
SMALL_MASK = (
    f"a side under {CELL_PX} pixels, one cell of most models' latent picture, so it may have no effect"
)


class Area(NamedTuple):
    """A part of the picture in fractions of it."""

    height: float
    width: float
    y: float
    x: float


@dataclass(frozen=True, eq=False)
class Region:
    """Where one local description acts, and how strongly.

    strength: of the region in relation to others in the same place, above 0.
    area: the rectangle that is sampled by itself, with the host's soft edges; None if there is a mask.
    mask: (1, height, width) of the canvas, float32 in 0..1; None if there is an area.
    within_bounds: whether only the smallest rectangle around the mask is sampled, instead of the whole
        picture.
    """

    local_description: str
    strength: float
    area: Area | None = None
    mask: Tensor | None = None
    within_bounds: bool = False


class Regions(NamedTuple):
    """Regions from back to front, and notices about instances that were left out or enlarged."""

    regions: tuple[Region, ...]
    notices: tuple[str, ...]


def layout_regions(
    layout: Layout, *, areas: bool = False, visible: bool = False, feather: int = 0, strength: float = 1.0
) -> Regions:
    """The regions of a layout.

    areas: sample each region by itself, in its rectangle; else each in the whole picture, under its mask.
    visible: leave out what nearer boxes cover.
    feather: pixels of the canvas over which a mask falls to 0 at its edges.
    strength: of all regions; multiplied with the strength of each instance.

    Areas of whole boxes without feather have no mask. Instances without a local description, of strength
    0 or completely hidden have no region. Raises LayoutError for a strength below 0.
    """
    strengths = [strength * instance.strength for instance in layout.instances]
    for number, value in enumerate(strengths, 1):
        if value < 0:
            raise LayoutError(
                f"Box {number} has the strength {value:g} here, which regions cannot have: expected 0 or "
                "more. Set its strength in the layout, or the strength of this node, to 0 or more."
            )
    masks = None
    if visible or feather > 0 or not areas:
        masks = box_masks(layout.boxes, layout.height, layout.width, visible=visible, feather=feather)
    unnamed, inactive, hidden, small, regions = [], [], [], [], []
    for number, (instance, value) in enumerate(zip(layout.instances, strengths, strict=True), 1):
        mask = None if masks is None else masks[number - 1 : number]
        if not instance.local_description.strip():
            unnamed.append(number)
        elif value == 0:
            inactive.append(number)
        elif mask is not None and not mask.any():
            hidden.append(number)
        else:
            least = LEAST_AREA_PX if mask is None else CELL_PX
            if min(_sides(instance.box, layout)) < least:
                small.append(number)
            area = _area(instance.box, layout) if mask is None else None
            bounded = areas and mask is not None
            regions.append(Region(instance.local_description, value, area, mask, bounded))
    notices = [
        *_notice(unnamed, "no local description, so the global conditioning acts there"),
        *_notice(inactive, "strength 0, so it has no region"),
        *_notice(hidden, "completely hidden by nearer boxes, so it has no region"),
        *_notice(small, SMALL_AREA if masks is None else SMALL_MASK),
    ]
    return Regions(tuple(regions), tuple(notices))


def _sides(box: Box, layout: Layout) -> tuple[float, float]:
    """Width and height of a box in pixels."""
    return (box.x1 - box.x0) * layout.width, (box.y1 - box.y0) * layout.height


def _area(box: Box, layout: Layout) -> Area:
    """The area of a box, enlarged around its middle where it is smaller than the host's smallest."""
    x0, x1 = _enlarged(box.x0, box.x1, layout.width)
    y0, y1 = _enlarged(box.y0, box.y1, layout.height)
    return Area(y1 - y0, x1 - x0, y0, x0)


def _enlarged(start: float, end: float, size: int) -> tuple[float, float]:
    least = min(LEAST_AREA_PX / size, 1.0)
    if end - start >= least:
        return start, end
    first = min(max((start + end - least) / 2, 0.0), 1.0 - least)
    return first, first + least


def _notice(numbers: Iterable[int], what: str) -> list[str]:
    shown = ", ".join(map(str, numbers))
    return [f"Box {shown}: {what}."] if shown else []
