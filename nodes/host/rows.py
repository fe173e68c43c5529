"""Identifies the rows of a UNet call: conditioning, image of the batch, and window of the picture.

The host numbers the conditionings of a call by their position in the guider's list. That position
differs between guiders, and a pass with the negative conditioning alone numbers it like a positive.
So every conditioning gets a tag when sampling starts, and the host stacks the tags in row order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import comfy.conds
import torch
from torch import Tensor

from ...ifadapter_core.layout import Box

TAG = "ifadapter_row"
POSITIVE, NEGATIVE = 0, 1  # numbers of the conditionings in an ordinary call with guidance
# Where packs for regional prompts store the conditioning numbers of the rows that they multiplied.
REGIONAL_PROMPT_KEYS = ("cond_or_uncond_couple", "cond_or_uncond_hook_couple")


class RowsError(ValueError):
    """The rows of a call cannot be identified. The message gives the reason and the fix."""


class Window(NamedTuple):
    """A part of a picture: its position and size, and the size of the whole, in latent cells."""

    top: int
    left: int
    height: int
    width: int
    full_height: int
    full_width: int

    @property
    def is_whole(self) -> bool:
        return (self.height, self.width) == (self.full_height, self.full_width)

    @property
    def box(self) -> Box:
        """The window as fractions 0..1 of the whole."""
        bottom, right = self.top + self.height, self.left + self.width
        return Box(
            self.left / self.full_width,
            self.top / self.full_height,
            right / self.full_width,
            bottom / self.full_height,
        )


class Row(NamedTuple):
    """One row of a UNet call.

    positive: whether it belongs to the positive conditioning.
    image: its index in the batch.
    window: the part of the picture that it shows, or None if unknown.
    """

    positive: bool
    image: int
    window: Window | None = None


class _Tag(comfy.conds.CONDRegular):
    """Tags, int32 (rows, 8): whether positive, image index, and the six fields of a Window.

    built: called when the host builds the inputs of a UNet call from these tags.
    """

    def __init__(self, rows: Tensor, built: tuple[Callable[[], None], ...]) -> None:
        super().__init__(rows)
        self.built = built

    def process_cond(self, batch_size: int, area: Sequence[int] | None = None, **_: Any) -> _Tag:
        """Called by the host: one tag per image. area: height, width, top, left of a crop."""
        rows = self.cond.expand(batch_size, -1).clone()
        rows[:, 1] = torch.arange(batch_size)
        if area is not None:
            height, width, top, left = area
            rows[:, 2:6] = torch.tensor([top, left, height, width])
        return self._copy_with(rows)

    def concat(self, others: Sequence[Any]) -> Tensor:
        """Called by the host once per UNet call, on the tag of its first conditioning."""
        for tell in self.built:
            tell()
        return super().concat(others)

    def _copy_with(self, cond: Tensor) -> _Tag:
        return _Tag(cond, self.built)

    def __deepcopy__(self, _memo: dict[int, Any]) -> _Tag:
        return self  # some packs copy the conditionings of a run


def tag_conditionings(
    conds: dict[str, list[dict[str, Any]]], noise: Tensor, built: Callable[[], None]
) -> dict[str, list[dict[str, Any]]]:
    """The conditionings of a run with a tag each. Several adapters share the tags.

    built: see _Tag.
    """
    return {
        key: [_tagged(cond, key == "positive", noise, built) for cond in entries]
        for key, entries in conds.items()
    }


def _tagged(
    cond: dict[str, Any], is_positive: bool, noise: Tensor, built: Callable[[], None]
) -> dict[str, Any]:
    size = noise.shape[-2:]
    model_conds = cond.get("model_conds", {})
    others = model_conds[TAG].built if TAG in model_conds else ()
    rows = torch.tensor([[is_positive, 0, 0, 0, *size, *size]], dtype=torch.int32)
    return {**cond, "model_conds": {**model_conds, TAG: _Tag(rows, (*others, built))}}


def rows_of(
    tag: Tensor | None, extra_options: dict[str, Any], count: int, in_tagged_run: bool = False
) -> tuple[Row, ...]:
    """Identify the rows of an attention batch.

    tag: the tags that the host stacked for this call, int32 (rows of the call, 8), or None.
    count: rows of the attention batch. It differs from those of the call if a pack multiplies rows.
    in_tagged_run: whether the conditionings of the run have tags.

    Three cases:
    - One tag per row: the tags are the answer.
    - No tag in a tagged run: another pack added conditionings, or lost the tags. Not positive; a run
      without any tag is reported when it ends.
    - Otherwise (no sampler of the host, or multiplied rows): the rows are equal chunks in the order
      of the call's conditioning numbers.

    Raises RowsError if the rows do not divide into such chunks.
    """
    index_in_batch = _batch_indices(extra_options)
    if tag is not None and tag.shape[0] == count:
        return tuple(
            Row(bool(positive), index_in_batch(image), Window(*window))
            for positive, image, *window in tag.tolist()
        )
    own = extra_options.get("cond_or_uncond", [POSITIVE])
    call_rows, chunks_of_call = extra_options["original_shape"][0], len(extra_options.get("uuids", own))
    if not 0 < chunks_of_call <= call_rows:
        raise RowsError(
            "IFAdapter cannot tell which rows are positive, so the adapter is left out: the call has "
            f"{call_rows} rows for {chunks_of_call} conditionings, but each needs at least one. Another "
            "node changed the rows or the conditionings of the call. Move that node elsewhere in the "
            "workflow, or remove it."
        )
    chunk_rows = call_rows // chunks_of_call
    if tag is None and in_tagged_run:
        return tuple(Row(False, index_in_batch(row % chunk_rows)) for row in range(count))

    # Equal chunks. A window is known only if all rows of the call share it.
    regional = (extra_options[key] for key in REGIONAL_PROMPT_KEYS if key in extra_options)
    numbers = next(regional, own)
    copies = _copies_per_chunk(numbers, count / chunk_rows)
    chunks = [number == POSITIVE for number, times in zip(numbers, copies, strict=True) for _ in range(times)]
    window = None
    if tag is not None and len({tuple(row) for row in tag[:, 2:].tolist()}) == 1:
        window = Window(*tag[0, 2:].tolist())
    return tuple(
        Row(positive, index_in_batch(image), window) for positive in chunks for image in range(chunk_rows)
    )


def _batch_indices(extra_options: dict[str, Any]) -> Callable[[int], int]:
    """Image index in the call -> in the batch. They differ in context windows over a batch."""
    held = getattr(extra_options.get("context_window"), "index_list", None)
    held = held or (extra_options.get("ad_params") or {}).get("sub_idxs")
    return (lambda image: held[image] if image < len(held) else image) if held else int


def _copies_per_chunk(numbers: list[int], chunks: float) -> list[int]:
    """Copies of each conditioning's chunk: 1 each, or equally many of all but the negative."""
    negatives = numbers.count(NEGATIVE)
    times = 1.0 if chunks == len(numbers) else (chunks - negatives) / max(len(numbers) - negatives, 1)
    if times < 1 or times != int(times):
        raise RowsError(
            "IFAdapter cannot tell which rows are positive, so the adapter is left out: the "
            f"attention batch has {chunks:g} times as many rows as one conditioning, but the call "
            f"has {len(numbers)} conditionings. Another node multiplied the rows in an unknown "
            "way. Move that node elsewhere in the workflow, or remove it."
        )
    return [1 if number == NEGATIVE else int(times) for number in numbers]
