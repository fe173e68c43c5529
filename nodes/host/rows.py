"""Which rows of a UNet call are positive.

The host numbers the conditionings of a call by their place in a list of the guider's, which differs between guiders, and
a pass that runs the negative alone numbers it like a positive. So every conditioning gets a tag when sampling starts,
and the host itself stacks the tags of a call in the order of its rows.
"""

from __future__ import annotations

from typing import Any

import comfy.conds
import torch
from torch import Tensor

TAG = "ifadapter_is_positive"
POSITIVE, NEGATIVE = 0, 1  # the conditionings' numbers in a plain call, and for packs that multiply rows
COUPLED = ("cond_or_uncond_couple", "cond_or_uncond_hook_couple")  # where such packs leave the numbers of all their rows


def tag_conditionings(executor: Any, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Wraps the sampler: give every conditioning of the run a tag of shape (1, 1) that says whether it is the positive."""
    guider.conds = {key: [_tagged(cond, key == "positive") for cond in conds] for key, conds in guider.conds.items()}
    model_options = extra_args["model_options"]
    transformer_options = {**model_options.get("transformer_options", {}), TAG: True}  # tells that this run is tagged
    extra_args = {**extra_args, "model_options": {**model_options, "transformer_options": transformer_options}}
    return executor(guider, sigmas, extra_args, *args, **kwargs)


def _tagged(cond: dict[str, Any], is_positive: bool) -> dict[str, Any]:
    tag = comfy.conds.CONDRegular(torch.tensor([[int(is_positive)]], dtype=torch.int32))
    return {**cond, "model_conds": {**cond.get("model_conds", {}), TAG: tag}}


def positive_rows(tag: Tensor | None, extra_options: dict[str, Any], rows: int) -> Tensor:
    """For each row of an attention batch, whether it belongs to the positive conditioning: bool (rows,).

    tag: what the host stacked for this call, one row each, or None. In a tagged run a call without it is of conditionings
    that the guider keeps to itself, which are not the positive. In a call that no sampler of the host made, or when a pack
    for regional prompts multiplied the rows, the rows are equal chunks in the order of the call's numbers.
    Raises ValueError when the rows do not follow from them.
    """
    if tag is not None and tag.shape[0] == rows:
        return tag[:, 0].bool()
    if tag is None and TAG in extra_options:
        return torch.zeros(rows, dtype=torch.bool)
    own = extra_options.get("cond_or_uncond", [POSITIVE])
    numbers = next((extra_options[key] for key in COUPLED if key in extra_options), own)
    chunk_rows = extra_options["original_shape"][0] // len(extra_options.get("uuids", own))
    copies = _copies(numbers, rows / chunk_rows)
    return torch.tensor([number == POSITIVE for number in numbers]).repeat_interleave(torch.tensor(copies) * chunk_rows)


def _copies(numbers: list[int], chunks: float) -> list[int]:
    """How often each numbered chunk stands in the batch: once, or all but the negative ones equally often."""
    negatives = numbers.count(NEGATIVE)
    times = 1.0 if chunks == len(numbers) else (chunks - negatives) / max(len(numbers) - negatives, 1)
    if times < 1 or times != int(times):
        raise ValueError(
            f"IFAdapter cannot tell which rows are positive: the attention has {chunks:g} times as many rows as a conditioning, for "
            f"{len(numbers)} conditionings. Another node multiplied them in a way it does not know; place that node elsewhere or remove it."
        )
    return [1 if number == NEGATIVE else int(times) for number in numbers]
