"""One entry of a list of boxes -> a draft. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..layout import LayoutError
from .box_keys import BOX_KEYS, EDGES, LONG, BoxKeys
from .draft import Draft, Frame, stated_units
from .fields import description_of, entry_of, kind_of, number_of, number_text
from .ignored import ignored_fields, refuse_contradictions

MIN_STRENGTH, MAX_STRENGTH = -2.0, 5.0
# Fields that may hold the description, the first non-empty one counts.
DESCRIPTIONS = (
    "description",
    "desc",
    "phrase",
    "label",
    "text",
    "name",
    "class",
    "category_name",
    "rectanglelabels",
    "prompt",
)
METADATA = ("desc", "text", "caption", "label")  # the same, in the metadata of ComfyUI's boxes


def draft_of(
    value: Any, number: int, frame: Frame, kinds: Sequence[BoxKeys] = BOX_KEYS, unit: str | None = None
) -> Draft:
    """The draft of one entry of a list. Raises LayoutError.

    value: an object with a box, a description or both; or a description alone.
    kinds: how the box may be written, the first match counts.
    unit: default unit of {"x", "y", "width", "height"}, where it is not pixels.
    """
    if isinstance(value, str):
        value = {"caption": value}
    entry = entry_of(value, number)
    refuse_contradictions(entry, number)
    _refuse_other_units(entry, number, frame)
    keys = next((kind for kind in kinds if kind.matches(entry)), None)
    if keys is None:
        _refuse_unknown_keys(entry, number)
    default = "fractions" if keys is None else unit if keys is LONG and unit else keys.unit
    return Draft(
        number=number,
        corners=None if keys is None else keys.corners(entry, number),
        description=_description(entry, number),
        unit=frame.units or default,
        pixels=frame.pixels,
        strength=_strength(entry, number),
        hidden=_hidden(entry, number),
        order=EDGES if keys is None else keys.order,
        ignored=ignored_fields(entry),
    )


def _refuse_other_units(entry: dict, number: int, frame: Frame) -> None:
    """Raise LayoutError for a box with units of its own: units belong to the whole layout."""
    stated = stated_units(entry)
    if stated is not None and stated != frame.units:
        raise LayoutError(
            f"Box {number} has units of its own ({stated}). State the units once for all boxes: "
            f'{{"units": "{stated}", "boxes": [..]}}, or as the node\'s units.'
        )


def _description(entry: dict, number: int) -> str:
    """The caption, else the description in the metadata of ComfyUI's boxes, else another field."""
    metadata = entry.get("metadata")
    return (
        description_of(entry, ("caption",), number)
        or (description_of(metadata, METADATA, number) if isinstance(metadata, dict) else "")
        or description_of(entry, DESCRIPTIONS, number)
    )


def _hidden(entry: dict, number: int) -> bool:
    hidden = entry.get("hidden")
    if hidden is None:
        return False
    if not isinstance(hidden, bool):
        raise LayoutError(
            f"Box {number}: hidden must be true or false, without quotation marks, got {kind_of(hidden)}."
        )
    return hidden


def _strength(entry: dict, number: int) -> float:
    value = entry.get("strength")
    strength = 1.0 if value is None else number_of(value, f"Box {number}: strength")
    if not MIN_STRENGTH <= strength <= MAX_STRENGTH:
        raise LayoutError(
            f"Box {number}: strength is {number_text(strength)}; expected {MIN_STRENGTH:g} to "
            f"{MAX_STRENGTH:g}, 1 is as trained."
        )
    return strength


def _refuse_unknown_keys(entry: dict, number: int) -> None:
    """Raise LayoutError if an entry has a box that is bound to no order of its numbers."""
    if "bbox" in entry:
        raise LayoutError(
            f'Box {number}: "bbox" alone does not say its order. A box element of ComfyUI has the "type" '
            '"obj" or "text" beside it (ymin, xmin, ymax, xmax in thousandths). For x0, y0, x1, y1 use '
            '"bbox_2d"; for left, top, width, height use "x", "y", "width", "height".'
        )
    if "box" in entry:
        raise LayoutError(
            f'Box {number}: "box" must be an object with xmin, ymin, xmax, ymax or x1, y1, x2, y2. A list '
            '[x, y, w, h] belongs to {"annotations": [..]}, in pixels.'
        )
