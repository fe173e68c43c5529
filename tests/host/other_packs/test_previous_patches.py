"""Patches of other packs that were in the slots before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

import oracle
import small_models
from sampling import TOLERANCE, assert_alike, sample


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def theirs(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """A cross attention as another pack might compute it."""
    return (0.8 * oracle.text_attention(q, k, v, options) + 0.3 * v.mean(dim=1, keepdim=True)).to(q.dtype)


@pytest.mark.parametrize("length", [3, 2])
def test_adds_to_an_existing_replacement(apply, tokens, term, model, inputs, length):
    """The host takes replacements for one transformer block, and for all in one attention module."""
    previous = model.clone()
    for layer in {layer[:length] for layer in oracle.LAYERS.values()}:
        previous.set_model_attn2_replace(theirs, *layer)
    previous.set_model_attn2_replace(theirs, "input", 7, 0)  # not an adapted layer
    expected = oracle.predict(oracle.patch(previous, term, under=theirs), inputs)
    assert oracle.max_difference(oracle.predict(previous, inputs), oracle.predict(model, inputs)) > 0.1
    assert oracle.max_difference(oracle.predict(apply(tokens, model=previous), inputs), expected) <= TOLERANCE


def test_transformer_replacement_takes_precedence_over_block_replacement(apply, tokens, term, model, inputs):
    """The host has the same precedence."""
    previous = model.clone()
    previous.set_model_attn2_replace(theirs, "output", 1, 0)
    previous.set_model_attn2_replace(lambda q, k, v, options: 0.5 * theirs(q, k, v, options), "output", 1)
    delta = oracle.predict(apply(tokens, model=previous, strength=1e-6), inputs)
    assert oracle.max_difference(delta, oracle.predict(previous, inputs)) <= TOLERANCE


@pytest.mark.parametrize("previous", [None, ("middle", 0), ("middle", 0, 0)])
def test_block_replacement_behind_the_adapter(apply, tokens, term, model, previous):
    """Acts where it would without the adapter: in place of an earlier one of the block only."""

    def earlier(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        return 0.5 * theirs(q, k, v, options)

    def under(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        if options["block"] != ("middle", 0):
            return oracle.text_attention(q, k, v, options)
        own = previous is not None and (*options["block"], options["block_index"]) == previous
        return (earlier if own else theirs)(q, k, v, options)

    base = model.clone()
    if previous is not None:
        base.set_model_attn2_replace(earlier, *previous)
    patched = apply(tokens, model=base)
    alone = sample(patched)
    patched.set_model_attn2_replace(theirs, "middle", 0)
    assert_alike(sample(patched), sample(oracle.patch(model, term, under=under)), alone)


class PreviousPatch:
    """A patch object with all the host's methods: a model to load, and device changes."""

    def __init__(self) -> None:
        self.own = comfy.model_patcher.ModelPatcher(torch.nn.Linear(2, 2), small_models.CPU, small_models.CPU)
        self.moves: list[Any] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        return theirs(q, k, v, options)

    def models(self) -> list[Any]:
        return [self.own]

    def to(self, device_or_dtype: Any) -> PreviousPatch:
        self.moves.append(device_or_dtype)
        return self


def test_previous_patch_is_still_loaded_and_moved(apply, tokens, model):
    previous = PreviousPatch()
    behind = model.clone()
    behind.set_model_attn2_replace(previous, "output", 0, 0)
    assert previous.own in behind.model_patches_models()
    patched = apply(tokens, model=behind)
    patched.model_patches_to(torch.float16)
    assert previous.own in patched.model_patches_models()
    assert previous.moves == [torch.float16]


class CachingAttention:
    """Attention that returns the tensor of a layer's first call again, as caching packs do."""

    def __init__(self) -> None:
        self.made: dict[Any, tuple[Tensor, Tensor]] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        return self.remember(extra_options, lambda: optimized_attention(q, k, v, extra_options["n_heads"]))

    def override(self, func: Callable, *args: Any, **kwargs: Any) -> Tensor:
        options = kwargs["transformer_options"]
        make = lambda: func(*args, **kwargs)  # noqa: E731
        return self.remember(options, make) if args[1].shape[1] == 77 else make()  # cross attention only

    def remember(self, options: dict, make: Callable[[], Tensor]) -> Tensor:
        key = (*options["block"], options["block_index"])
        if key not in self.made:
            out = make()
            self.made[key] = (out, out.clone())
        return self.made[key][0]


@pytest.mark.parametrize("way", ["replace", "override"])
def test_aliased_outputs_are_not_modified(apply, tokens, model, way):
    previous, base = CachingAttention(), model.clone()
    if way == "replace":
        for block in oracle.LAYERS.values():
            base.set_model_attn2_replace(previous, *block)
    else:
        base.model_options["transformer_options"]["optimized_attention_override"] = previous.override
    sample(apply(tokens, model=base))
    assert previous.made
    for out, first in previous.made.values():
        assert torch.equal(out, first)
