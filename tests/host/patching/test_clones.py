"""Clones of the patched model: equal results, shared weights, separate callbacks."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

import oracle
from sampling import ksampler, replacements, sample


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def test_clones_and_repeated_runs_are_equal(apply, tokens, model, inputs):
    patched = apply(tokens)
    expected = oracle.predict(patched, inputs)
    assert torch.equal(oracle.predict(patched.clone().clone(), inputs), expected)
    assert torch.equal(oracle.predict(apply(tokens), inputs), expected)
    sampled = ksampler(patched)
    assert torch.equal(ksampler(patched), sampled)
    assert torch.equal(ksampler(patched.clone().clone()), sampled)


def copied_weights(memo: dict) -> list:
    """Modules and tensors that a deepcopy with this memo copied."""
    return [value for value in memo.values() if isinstance(value, (torch.nn.Module, Tensor))]


def test_deepcopy_of_the_options_copies_no_weights(apply, tokens, inputs):
    """Hosts before 2026 deep-copied the options with every clone, and some packs still do."""
    patched = apply(tokens)
    expected, memo = oracle.predict(patched, inputs), {}
    clone = patched.clone()
    clone.model_options = copy.deepcopy(patched.model_options, memo)
    assert not copied_weights(memo)
    assert torch.equal(oracle.predict(clone, inputs), expected)
    for patch in replacements(clone).values():
        patch.add(lambda out, *_: out)  # must not reach the original model
    assert not torch.equal(oracle.predict(clone, inputs), expected)
    assert torch.equal(oracle.predict(patched, inputs), expected)


def test_deepcopy_of_run_options_copies_no_weights(apply, tokens):
    """During a run the options contain the wrappers too."""
    patched = apply(tokens, end_percent=0.4)
    expected, memo = ksampler(patched, steps=4), {}

    def copy_options(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        guider = executor.class_obj
        guider.model_options = copy.deepcopy(guider.model_options, memo)
        return executor(*args, **kwargs)

    copying = patched.clone()
    copying.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "test", copy_options)
    assert torch.equal(ksampler(copying, steps=4), expected)
    assert memo
    assert not copied_weights(memo)


def test_clone_collected_during_a_run(apply, tokens):
    patched = apply(tokens)
    before = sample(patched)
    clones = [patched.clone() for _ in range(3)]

    def collect(step: int, *_: Any) -> None:
        if clones:
            clones.pop()
        gc.collect()

    assert sample(patched, callback=collect).equal(before)
