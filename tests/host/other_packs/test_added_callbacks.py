"""Packs that add a callback to the patch in a slot, as ComfyUI_IPAdapter_plus does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

import oracle
from sampling import allowed, assert_alike, sample

SHARE = 0.1  # the other pack adds this share of the queries
ALWAYS = {"sigma_start": 999999999.9, "sigma_end": 0.0}


def share_of_queries(
    out: Tensor, q: Tensor, k: Tensor, v: Tensor, extra_options: dict, share: float, **_: Any
) -> Tensor:
    return share * q


class Slot:
    """The patch that such a pack puts into an empty slot."""

    def __init__(self, callback: Callable, **options: Any) -> None:
        self.callbacks = [(callback, options)]

    def add(self, callback: Callable, **options: Any) -> None:
        self.callbacks.append((callback, options))

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        out = optimized_attention(q, k, v, extra_options["n_heads"])
        sigma = extra_options["sigmas"][0].item()
        for callback, options in self.callbacks:
            if options["sigma_end"] <= sigma <= options["sigma_start"]:
                out = out + callback(out, q, k, v, extra_options, **options)
        return out


def with_callback(model: Any, share: float = SHARE, schedule: dict = ALWAYS) -> Any:
    """A clone to which such a pack adds itself in the adapted layers."""
    clone = model.clone()
    options = clone.model_options["transformer_options"].copy()
    options["patches_replace"] = options.get("patches_replace", {}).copy()
    slots = options["patches_replace"]["attn2"] = options["patches_replace"].get("attn2", {}).copy()
    for key in oracle.LAYERS.values():
        if key in slots:
            slots[key].add(share_of_queries, share=share, **schedule)
        else:
            slots[key] = Slot(share_of_queries, share=share, **schedule)
    clone.model_options["transformer_options"] = options
    return clone


def shared_attention(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """The oracle's cross attention, plus the other pack's share."""
    return oracle.text_attention(q, k, v, options) + SHARE * q.double()


@pytest.mark.parametrize("order", ["before", "behind"])
def test_callback_added_before_or_after(apply, tokens, term, model, order):
    got = with_callback(apply(tokens)) if order == "behind" else apply(tokens, model=with_callback(model))
    want = oracle.patch(model, term, under=shared_attention)
    assert_alike(sample(got), sample(want), sample(oracle.patch(model, term)))


def test_callback_added_to_a_clone_does_not_reach_the_original(apply, tokens, model):
    patched = apply(tokens)
    before = sample(patched)
    once = sample(with_callback(patched))
    assert sample(patched).equal(before)
    assert not once.equal(before)
    assert sample(with_callback(patched)).equal(once)  # adding once more to the original gives the same
    twice = with_callback(with_callback(patched))
    assert oracle.max_difference(sample(twice), sample(with_callback(patched, 2 * SHARE))) <= allowed(once)


def test_callback_added_after_two_adapters_does_not_reach_the_first(apply, tokens, model):
    first = apply(tokens)
    before = sample(first)
    second = with_callback(apply(tokens, model=first))
    sample(second)
    assert sample(first).equal(before)


def test_added_callback_keeps_its_schedule(apply, tokens, model):
    patched = apply(tokens)
    never = with_callback(patched, schedule={"sigma_start": 1e-6, "sigma_end": 0.0})
    assert sample(never).equal(sample(patched))
    late = sample(with_callback(patched, schedule={"sigma_start": 5.0, "sigma_end": 0.0}))
    assert not late.equal(sample(patched))
    assert not late.equal(sample(with_callback(patched)))
