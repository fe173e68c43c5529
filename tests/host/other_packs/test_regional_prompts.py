"""Packs for regional prompts, which multiply the positive rows and average them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import oracle
from sampling import assert_alike, sample, warnings_of


def coupled(model: Any, tell: Callable[[dict, list[int]], None], copies: int = 2, spare: int = 0) -> Any:
    """A clone patched by such a pack.

    tell(options, numbers): stores the conditioning number of each row.
    copies: number of copies of each positive row.
    spare: surplus rows, which belong to no conditioning.
    """
    clone = model.clone()

    def times(options: dict) -> list[int]:
        return [1 if chunk == 1 else copies for chunk in options["told"]]

    def multiply(n: Tensor, context: Tensor, value: Tensor, options: dict) -> tuple[Tensor, ...]:
        options["told"] = list(options["cond_or_uncond"])
        counts = times(options)
        tell(
            options,
            [chunk for chunk, count in zip(options["told"], counts, strict=True) for _ in range(count)],
        )

        def more(x: Tensor) -> Tensor:
            parts = [
                part.repeat(count, 1, 1) for part, count in zip(x.chunk(len(counts)), counts, strict=True)
            ]
            return torch.cat([*parts, *[parts[-1][:1]] * spare])

        return more(n), more(context), more(value)

    def join(out: Tensor, options: dict) -> Tensor:
        counts = times(options)
        out = out[: len(out) - spare] if spare else out
        rows = out.shape[0] // sum(counts)
        parts = out.split([rows * count for count in counts])
        options["cond_or_uncond"][:] = options["told"]
        return torch.cat(
            [part.unflatten(0, (count, rows)).mean(dim=0) for part, count in zip(parts, counts, strict=True)]
        )

    clone.set_model_attn2_patch(multiply)
    clone.set_model_attn2_output_patch(join)
    return clone


def in_place(options: dict, numbers: list[int]) -> None:
    options["cond_or_uncond"][:] = numbers


CONVENTIONS: dict[str, Callable[[dict, list[int]], None]] = {
    "none": lambda options, numbers: None,
    "cond_or_uncond_couple": lambda options, numbers: options.update(cond_or_uncond_couple=numbers),
    "cond_or_uncond_hook_couple": lambda options, numbers: options.update(cond_or_uncond_hook_couple=numbers),
    "cond_or_uncond in place": in_place,
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_multiplied_positive_rows(apply, tokens, term, model, convention):
    """All copies are equal, so their average must not change."""
    got = sample(apply(tokens, model=coupled(model, CONVENTIONS[convention])), batch=2)
    assert_alike(got, sample(oracle.patch(model, term), batch=2), sample(model, batch=2))


def test_unidentified_rows_are_unchanged_with_one_warning(apply, tokens, model, caplog):
    neighbour = coupled(model, CONVENTIONS["none"], copies=1, spare=1)
    got, plain = sample(apply(tokens, model=neighbour), batch=2), sample(neighbour, batch=2)
    assert got.equal(plain)
    assert len(warnings_of(caplog)) == 1
    assert "cannot tell which rows are positive" in caplog.text
