"""Regions of a layout -> the host's regional conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.hooks
import comfy.model_management
import node_helpers

from ...ifadapter_core.conversions.regions import Region
from .text import check_clip


def regional_conditioning(
    clip: Any, conditioning: list, regions: Sequence[Region], *, background_only: bool
) -> list:
    """One CONDITIONING: the regions from back to front, then the global conditioning.

    clip: the host's CLIP, which encodes each local description as CLIP Text Encode does.
    conditioning: the global CONDITIONING; returned unchanged if there are no regions.
    background_only: the global conditioning acts where the regions leave weight over, as by Cond Set
        Default Combine; else everywhere, as by Conditioning (Combine).

    Raises ValueError without a CLIP.
    """
    check_clip(clip)
    if not regions:
        return conditioning
    encoded: dict[str, list] = {}
    placed: list = []
    for region in regions:
        text = region.local_description
        if text not in encoded:
            comfy.model_management.throw_exception_if_processing_interrupted()
            encoded[text] = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        placed += _placed(encoded[text], region)
    if background_only:
        return comfy.hooks.set_default_conds_and_combine([placed], [conditioning])[0]
    return [*placed, *conditioning]


def _placed(conditioning: list, region: Region) -> list:
    """The conditioning of one region, with the keys that the host's nodes write."""
    if region.mask is not None:  # Conditioning (Set Mask)
        cond_area = "mask bounds" if region.within_bounds else "default"
        return comfy.hooks.set_mask_for_conditioning(conditioning, region.mask, cond_area, region.strength)
    if region.area is None:
        raise AssertionError("A region has a mask or an area.")
    values = {  # Conditioning (Set Area with Percentage)
        "area": ("percentage", *region.area),
        "strength": region.strength,
        "set_area_to_bounds": False,
    }
    return node_helpers.conditioning_set_values(conditioning, values)
