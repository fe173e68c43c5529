"""Packs that run the model with a copy of its options from when their node ran, as AutomaticCFG does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.model_patcher
import comfy.samplers
import pytest
from torch import Tensor

import oracle
from sampling import assert_alike, sample, warnings_of


def whole(options: dict) -> dict:
    return copy.deepcopy(options)


def patches_only(options: dict) -> dict:
    slots = options["transformer_options"].get("patches_replace", {})
    return {"transformer_options": {"patches_replace": copy.deepcopy(slots)}}


def with_extra_pass(
    model: Any,
    *,
    alone: str = "uncond",
    copied: Callable[[dict], dict] = whole,
    block_patch: oracle.Replacement | None = None,
) -> Any:
    """A clone that evaluates one conditioning a second time, alone, and uses that result.

    copied: makes the pack's copy of the options. block_patch: its own patch there, of the middle block.
    """
    options = copied(model.model_options)
    if block_patch is not None:
        options = comfy.model_patcher.set_model_options_patch_replace(
            options, block_patch, "attn2", "middle", 0
        )
    clone = model.clone()

    def guide(args: dict) -> Tensor:
        conditioning = copy.deepcopy(args[f"input_{alone}"])
        again = comfy.samplers.calc_cond_batch(
            args["model"], [conditioning], args["input"], args["timestep"], options
        )[0]
        both = {"cond": args["cond_denoised"], "uncond": args["uncond_denoised"], alone: again}
        guided = both["uncond"] + args["cond_scale"] * (both["cond"] - both["uncond"])
        return args["input"] - guided

    clone.set_model_sampler_cfg_function(guide)
    return clone


def joint_calls_only(chunks: list[int]) -> list[bool]:
    """The host numbers the only conditioning of a call 0, also the negative one."""
    return [len(chunks) > 1 and chunk == 0 for chunk in chunks]


def test_copy_of_the_patched_options(apply, tokens, term, model, caplog):
    """The negative alone gets the null tokens."""
    expected = oracle.patch(model, replace(term, positive=joint_calls_only))
    got, want, plain = (sample(with_extra_pass(patcher)) for patcher in (apply(tokens), expected, model))
    assert_alike(got, want, plain)
    assert not warnings_of(caplog)


def test_positive_alone_in_a_copy_of_the_patched_options(apply, tokens, term, model, caplog):
    got, want, plain = (
        sample(with_extra_pass(patcher, alone="cond"))
        for patcher in (apply(tokens), oracle.patch(model, term), model)
    )
    assert_alike(got, want, plain)
    assert not warnings_of(caplog)


def theirs(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    return 0.5 * oracle.text_attention(q, k, v, options).to(q.dtype)


def test_patch_of_a_whole_block_in_the_copy_is_called(apply, tokens, term, model, caplog):
    def under(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        in_copy = len(options["cond_or_uncond"]) == 1 and options["block"] == ("middle", 0)
        return (theirs if in_copy else oracle.text_attention)(q, k, v, options)

    expected = oracle.patch(model, replace(term, positive=joint_calls_only), under=under)
    got = sample(with_extra_pass(apply(tokens), block_patch=theirs))
    assert_alike(got, sample(with_extra_pass(expected)), sample(with_extra_pass(apply(tokens))))
    assert not warnings_of(caplog)


def test_copy_from_before_the_adapter_warns_once(apply, tokens, term, model, caplog):
    neighbour = with_extra_pass(model)
    got, want = sample(apply(tokens, model=neighbour)), sample(oracle.patch(neighbour, term))
    assert_alike(got, want, sample(neighbour))
    assert len(warnings_of(caplog)) == 1
    assert "options that it copied before IFAdapter Apply (UNet calls: 3)" in caplog.text


def test_warning_counts_calls_in_the_schedule_only(apply, tokens, model, caplog):
    """Three steps, of which the first is in the schedule."""
    sample(apply(tokens, model=with_extra_pass(model), end_percent=0.2))
    assert len(warnings_of(caplog)) == 1
    assert "(UNet calls: 1)" in caplog.text


@pytest.mark.parametrize("alone", ["cond", "uncond"])
def test_copied_patches_without_wrappers_are_not_positive_and_warn_once(
    apply, tokens, term, model, caplog, alone
):
    expected = oracle.patch(model, replace(term, positive=joint_calls_only))
    got, want, plain = (
        sample(with_extra_pass(patcher, alone=alone, copied=patches_only))
        for patcher in (apply(tokens), expected, model)
    )
    assert_alike(got, want, plain)
    assert len(warnings_of(caplog)) == 1
    assert "without the marks of the conditionings" in caplog.text
