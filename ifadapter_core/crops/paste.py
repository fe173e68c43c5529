"""Pasting crops back into their pictures, with soft seams. Pictures are float32 in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..conversions.masks import box_masks
from ..layout import LayoutError
from .cut import resize
from .place import Place, Window
from .sources import masks_of, pictures_of

MAX_FEATHER = 0.25  # of the window's shorter side, so that the middle of every crop is pasted
TOLERANCE = 0.05  # by which proportions may differ


class Pasted(NamedTuple):
    """Pictures (H, W, C) with their crops, and notices about crops that were stretched or enlarged."""

    pictures: list[Tensor]
    notices: list[str]


def paste(
    pictures: Sequence[Tensor],
    crops: Sequence[Tensor],
    places: Sequence[Place],
    masks: Sequence[Tensor] | None = None,
    feather: int = 0,
) -> Pasted:
    """Paste crops into copies of their pictures, in their order: a later one covers an earlier one.

    pictures: (H, W, C) each. One that is larger or smaller than the picture of a place gets the crop at
        the same part of it.
    crops: (h, w, C) each, of any size; resized to the window of their place.
    places: one for each crop.
    masks: (h, w) each, one for each crop, stretched over it: only the masked part is pasted, and the
        mask's edges are softened over ``feather`` pixels. None: the whole crop.
    feather: pixels of the picture over which a crop fades at its edges, at most a quarter of its
        shorter side; edges of the picture do not fade.

    Raises LayoutError if numbers, sizes or channels do not fit.
    """
    _check_counts(len(crops), len(places), None if masks is None else len(masks))
    results = [picture.float().clone() for picture in pictures]
    notices: list[str] = []
    for index, (crop, place) in enumerate(zip(crops, places, strict=True)):
        picture = _picture_of(place, index, results)
        window = _window_on(place, picture, index)
        _check_channels(crop, picture, index)
        notices += _size_notices(crop, window, index)
        resized = resize(crop.float(), window.width, window.height).to(picture)
        mask = None if masks is None else masks[index]
        weights = _weights(window, picture.shape[0], picture.shape[1], mask, feather)[..., None].to(picture)
        target = picture[window.rows, window.columns]  # a view: the picture is changed in place
        target += weights * (resized - target)
    return Pasted(results, notices)


def paste_batches(
    images: Sequence[Tensor],
    crops: Sequence[Tensor],
    places: Sequence[Place],
    masks: Sequence[Tensor] | None = None,
    feather: int = 0,
) -> tuple[list[Tensor], list[str]]:
    """As ``paste``, for lists of IMAGE and MASK batches: the batches of ``images``, and notices.

    Places count the pictures of all batches.
    """
    shown = None if masks is None else masks_of(masks)
    pasted = paste(pictures_of(images), pictures_of(crops), places, shown, feather)
    parts = iter(pasted.pictures)
    return [torch.stack([next(parts) for _ in batch]) for batch in images], pasted.notices


def _weights(window: Window, height: int, width: int, mask: Tensor | None, feather: int) -> Tensor:
    """How much of the crop each pixel of a window shows: (window height, window width) in 0..1.

    height, width: of the picture.
    """
    feather = min(feather, int(MAX_FEATHER * min(window.width, window.height)))
    box = Place(window, width, height).box
    weights = box_masks([box], height, width, feather=feather)[0][window.rows, window.columns]
    if mask is None:
        return weights
    shown = resize(mask.float().cpu()[..., None], window.width, window.height)[None, ..., 0]
    reach = feather // 2
    padded = F.pad(shown[None], (reach,) * 4, mode="replicate")
    return weights * F.avg_pool2d(padded, 2 * reach + 1, stride=1)[0, 0]


def _window_on(place: Place, picture: Tensor, index: int) -> Window:
    """The window of a place on a picture (H, W, C) of the place's proportions, of any size."""
    height, width = picture.shape[:2]
    if (width, height) == (place.picture_width, place.picture_height):
        return place.window
    across, down = width / place.picture_width, height / place.picture_height
    if not 1 - TOLERANCE <= across / down <= 1 + TOLERANCE:
        raise LayoutError(
            f"Crop {index + 1} was cut from a picture of {place.picture_width} x {place.picture_height} "
            f"pixels, and the linked picture is {width} x {height}. Link the picture that was cut, or one of "
            "its proportions."
        )
    x, y, w, h = place.window
    x0, y0 = min(round(x * across), width - 1), min(round(y * down), height - 1)
    x1, y1 = max(round((x + w) * across), x0 + 1), max(round((y + h) * down), y0 + 1)
    return Window(x0, y0, min(x1, width) - x0, min(y1, height) - y0)


def _picture_of(place: Place, index: int, pictures: Sequence[Tensor]) -> Tensor:
    if place.image >= len(pictures):
        raise LayoutError(
            f"Crop {index + 1} belongs to picture {place.image + 1}, but {len(pictures)} are linked. Link "
            "all pictures that were cut, in the same order."
        )
    return pictures[place.image]


def _check_counts(crops: int, places: int, masks: int | None) -> None:
    if crops != places:
        raise LayoutError(
            f"{crops} crops and {places} places are linked; expected one place for each crop. Link places "
            "from the node that cut the crops, and keep the crops' order and number."
        )
    if masks is not None and masks != crops:
        raise LayoutError(
            f"{crops} crops and {masks} masks are linked; expected one mask for each crop. Link masks from "
            "the node that cut the crops, or none."
        )


def _check_channels(crop: Tensor, picture: Tensor, index: int) -> None:
    if crop.shape[-1] != picture.shape[-1]:
        raise LayoutError(
            f"Crop {index + 1} has {crop.shape[-1]} channels and its picture {picture.shape[-1]}. Remove or "
            "add the alpha channel (Split Image with Alpha) before pasting."
        )


def _size_notices(crop: Tensor, window: Window, index: int) -> list[str]:
    height, width = crop.shape[:2]
    shown = f"Crop {index + 1} of {width} x {height} pixels was pasted into {window.width} x {window.height}"
    ratio = width * window.height / (height * window.width)
    if not 1 - 2 * TOLERANCE <= ratio <= 1 + 2 * TOLERANCE:
        return [f"{shown}: its proportions differ, so it was stretched."]
    if width * height < window.width * window.height:
        return [f"{shown}: it was enlarged, so the picture loses detail there. Cut it at a larger size."]
    return []
