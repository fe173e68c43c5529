"""Patches of other packs that are in the slots before ours."""

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
from sampling import TOLERANCE, sample


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def theirs(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """What another pack might put in the place of a cross attention."""
    return (0.8 * oracle.text_attention(q, k, v, options) + 0.3 * v.mean(dim=1, keepdim=True)).to(q.dtype)


@pytest.mark.parametrize("length", [3, 2])
def test_adds_to_an_existing_replacement(apply, tokens, term, model, inputs, length):
    """The host knows a replacement for one transformer block, and one for all blocks of an attention."""
    neighbour = model.clone()
    for layer in {layer[:length] for layer in oracle.LAYERS.values()}:
        neighbour.set_model_attn2_replace(theirs, *layer)
    neighbour.set_model_attn2_replace(theirs, "input", 7, 0)  # not one of ours
    expected = oracle.predict(oracle.patch(neighbour, term, under=theirs), inputs)
    assert oracle.max_difference(oracle.predict(neighbour, inputs), oracle.predict(model, inputs)) > 0.1
    assert (
        oracle.max_difference(oracle.predict(apply(tokens, model=neighbour), inputs), expected) <= TOLERANCE
    )


def test_transformer_replacement_takes_precedence_over_block_replacement(apply, tokens, term, model, inputs):
    """As the host itself would pick."""
    neighbour = model.clone()
    neighbour.set_model_attn2_replace(theirs, "output", 1, 0)
    neighbour.set_model_attn2_replace(lambda q, k, v, options: 0.5 * theirs(q, k, v, options), "output", 1)
    delta = oracle.predict(apply(tokens, model=neighbour, strength=1e-6), inputs)
    assert oracle.max_difference(delta, oracle.predict(neighbour, inputs)) <= TOLERANCE


class Neighbour:
    """A patch object as the host knows them: with a model that must be loaded, and told where to move."""

    def __init__(self) -> None:
        self.own = comfy.model_patcher.ModelPatcher(torch.nn.Linear(2, 2), small_models.CPU, small_models.CPU)
        self.moves: list[Any] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        return theirs(q, k, v, options)

    def models(self) -> list[Any]:
        return [self.own]

    def to(self, device_or_dtype: Any) -> Neighbour:
        self.moves.append(device_or_dtype)
        return self


def test_previous_patch_is_still_loaded_and_moved(apply, tokens, model):
    neighbour = Neighbour()
    behind = model.clone()
    behind.set_model_attn2_replace(neighbour, "output", 0, 0)
    assert neighbour.own in behind.model_patches_models()
    patched = apply(tokens, model=behind)
    patched.model_patches_to(torch.float16)
    assert neighbour.own in patched.model_patches_models()
    assert neighbour.moves == [torch.float16]


class Remembering:
    """Attention that gives what it made in the first call of a layer again, as packs do that reuse results."""

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
    neighbour, base = Remembering(), model.clone()
    if way == "replace":
        for block in oracle.LAYERS.values():
            base.set_model_attn2_replace(neighbour, *block)
    else:
        base.model_options["transformer_options"]["optimized_attention_override"] = neighbour.override
    sample(apply(tokens, model=base))
    assert neighbour.made
    for out, first in neighbour.made.values():
        assert torch.equal(out, first)
