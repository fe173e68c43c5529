"""Packs that rebuild the arguments of the UNet and lose the marks of the conditionings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

import oracle
from sampling import assert_alike, sample, warnings_of

KNOWN = ("c_concat", "c_crossattn", "y", "control", "transformer_options")


def with_known_arguments(model: Any, is_lossy: Callable[[int], bool] = lambda call: True) -> Any:
    """A clone whose UNet gets the arguments that the pack knows. is_lossy: number of a call -> whether."""
    clone = model.clone()
    calls = 0

    def call(apply_model: Any, arguments: dict) -> Tensor:
        nonlocal calls
        keys = KNOWN if is_lossy(calls) else arguments["c"].keys()
        calls += 1
        given = {key: arguments["c"][key] for key in keys if key in arguments["c"]}
        return apply_model(arguments["input"], arguments["timestep"], **given)

    clone.set_model_unet_function_wrapper(call)
    return clone


def test_lost_marks_are_not_positive_and_warn_once(apply, tokens, term, model, caplog):
    expected = oracle.patch(model, replace(term, positive=lambda chunks: [False] * len(chunks)))
    got, want = sample(with_known_arguments(apply(tokens))), sample(expected)
    assert_alike(got, want, sample(model))
    assert len(warnings_of(caplog)) == 1
    assert "without the marks of the conditionings" in caplog.text


def test_a_call_of_another_pack_without_marks_is_no_alarm(apply, tokens, caplog):
    sample(with_known_arguments(apply(tokens), is_lossy=lambda call: call == 0))
    assert not warnings_of(caplog)


def test_lost_marks_outside_of_the_schedule_are_no_alarm(apply, tokens, caplog):
    """Three steps, of which the first is in the schedule."""
    patched = apply(tokens, end_percent=0.2)
    sample(with_known_arguments(patched, is_lossy=lambda call: call > 0))
    assert not warnings_of(caplog)
