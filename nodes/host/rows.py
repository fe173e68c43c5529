"""What the rows of a UNet call are: of which conditioning and which image of the batch, and what part of it.

The host numbers the conditionings of a call by their place in a list of the guider's, which differs between guiders, and
a pass that runs the negative alone numbers it like a positive. So every conditioning gets a tag when sampling starts,
and the host itself stacks the tags of a call in the order of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import comfy.conds
import torch
from torch import Tensor

from ...ifadapter_core.layout import Box

TAG = "ifadapter_row"
POSITIVE, NEGATIVE = 0, 1  # the conditionings' numbers in a plain call, and for packs that multiply rows
COUPLED = (
    "cond_or_uncond_couple",
    "cond_or_uncond_hook_couple",
)  # where such packs leave the numbers of all their rows


class RowsError(ValueError):
    """It cannot be told what the rows of a call are; the message says why and what to do."""


class Window(NamedTuple):
    """A part of a picture, in latent cells: where it begins, its size, and the size of the whole."""

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
        """In 0..1 of the whole."""
        bottom, right = self.top + self.height, self.left + self.width
        return Box(
            self.left / self.full_width,
            self.top / self.full_height,
            right / self.full_width,
            bottom / self.full_height,
        )


class Row(NamedTuple):
    """One row of a UNet call. image: its number in the batch. window: what part of it, None where the host does not say."""

    positive: bool
    image: int
    window: Window | None = None


class _Tag(comfy.conds.CONDRegular):
    """A row of numbers for each image: whether it is the positive, the image, and the window."""

    def process_cond(self, batch_size: int, area: Sequence[int] | None = None, **_: Any) -> _Tag:
        """The host asks for the rows of one conditioning; area: height, width, top, left of a crop."""
        rows = self.cond.expand(batch_size, -1).clone()
        rows[:, 1] = torch.arange(batch_size)
        if area is not None:
            height, width, top, left = area
            rows[:, 2:6] = torch.tensor([top, left, height, width])
        return _Tag(rows)


def tag_conditionings(
    executor: Any,
    guider: Any,
    sigmas: Tensor,
    extra_args: dict[str, Any],
    callback: Any,
    noise: Tensor,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Wraps the sampler: give every conditioning of the run a tag."""
    guider.conds = {
        key: [_tagged(cond, key == "positive", noise) for cond in conds]
        for key, conds in guider.conds.items()
    }
    model_options = extra_args["model_options"]
    transformer_options = {
        **model_options.get("transformer_options", {}),
        TAG: True,
    }  # tells that this run is tagged
    extra_args = {
        **extra_args,
        "model_options": {**model_options, "transformer_options": transformer_options},
    }
    return executor(guider, sigmas, extra_args, callback, noise, *args, **kwargs)


def _tagged(cond: dict[str, Any], is_positive: bool, noise: Tensor) -> dict[str, Any]:
    size = noise.shape[-2:]
    tag = _Tag(torch.tensor([[is_positive, 0, 0, 0, *size, *size]], dtype=torch.int32))
    return {**cond, "model_conds": {**cond.get("model_conds", {}), TAG: tag}}


def rows_of(tag: Tensor | None, extra_options: dict[str, Any], count: int) -> tuple[Row, ...]:
    """What the rows of an attention batch are.

    tag: what the host stacked for this call, one row each, or None. In a tagged run a call without it is of conditionings
    that the guider keeps to itself, which are not the positive. In a call that no sampler of the host made, or when a pack
    for regional prompts multiplied the rows, the rows are equal chunks in the order of the call's numbers.
    Raises RowsError when the rows do not follow from them.
    """
    numbers = _image_numbers(extra_options)
    if tag is not None and tag.shape[0] == count:
        return tuple(
            Row(bool(positive), numbers(image), Window(*window)) for positive, image, *window in tag.tolist()
        )
    own = extra_options.get("cond_or_uncond", [POSITIVE])
    chunk_rows = extra_options["original_shape"][0] // len(extra_options.get("uuids", own))
    if tag is None and TAG in extra_options:
        return tuple(Row(False, numbers(row % chunk_rows)) for row in range(count))
    conditionings = next((extra_options[key] for key in COUPLED if key in extra_options), own)
    copies = _copies(conditionings, count / chunk_rows)
    chunks = [
        number == POSITIVE for number, times in zip(conditionings, copies, strict=True) for _ in range(times)
    ]
    window = (
        None
        if tag is None or len({tuple(row) for row in tag[:, 2:].tolist()}) > 1
        else Window(*tag[0, 2:].tolist())
    )
    return tuple(Row(positive, numbers(image), window) for positive in chunks for image in range(chunk_rows))


def _image_numbers(extra_options: dict[str, Any]) -> Any:
    """From numbers in this call to numbers in the batch: windows of a long batch name the images that they hold."""
    held = getattr(extra_options.get("context_window"), "index_list", None) or (
        extra_options.get("ad_params") or {}
    ).get("sub_idxs")
    return (lambda image: held[image] if image < len(held) else image) if held else int


def _copies(numbers: list[int], chunks: float) -> list[int]:
    """How often each numbered chunk stands in the batch: once, or all but the negative ones equally often."""
    negatives = numbers.count(NEGATIVE)
    times = 1.0 if chunks == len(numbers) else (chunks - negatives) / max(len(numbers) - negatives, 1)
    if times < 1 or times != int(times):
        raise RowsError(
            f"IFAdapter cannot tell which rows are positive: the attention has {chunks:g} times as many rows as a conditioning, for "
            f"{len(numbers)} conditionings. Another node multiplied them in a way it does not know, so the adapter is left out. Place that "
            "node elsewhere or remove it."
        )
    return [1 if number == NEGATIVE else int(times) for number in numbers]
