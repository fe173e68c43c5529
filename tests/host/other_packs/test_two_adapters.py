"""Two IFAdapters on one model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comfy_extras import nodes_custom_sampler

import oracle
from sampling import TOLERANCE, assert_alike, ksampler, sample_three


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


@pytest.fixture(scope="module")
def second(load, make_tokens):
    """A second adapter: its ModelPatcher, its tokens for ten boxes, and the oracle's term."""
    checkpoint = oracle.make_checkpoint(seed=9)
    adapter = load("second.bin", checkpoint)
    return (
        adapter,
        make_tokens(oracle.TEN, adapter),
        oracle.make_term(checkpoint, oracle.make_phrases(10), oracle.TEN),
    )


def test_two_adapters_add_up(apply, tokens, term, second, model, inputs):
    adapter, own_tokens, own_term = second
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens, strength=0.7), strength=1.2)
    expected = oracle.patch(model, replace(term, strength=0.7), replace(own_term, strength=1.2))
    assert oracle.max_difference(oracle.predict(both, inputs), oracle.predict(expected, inputs)) <= TOLERANCE


def test_two_adapters_keep_their_own_windows(apply, tokens, term, second, model):
    adapter, own_tokens, own_term = second
    edges = [model.get_model_object("model_sampling").percent_to_sigma(percent) for percent in (0.3, 0.6)]
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens, end_percent=0.6), start_percent=0.3)
    expected = oracle.patch(
        model,
        replace(term, active=lambda options: options["sigmas"].max() >= edges[1]),
        replace(own_term, active=lambda options: options["sigmas"].max() <= edges[0]),
    )
    assert_alike(ksampler(both, steps=5), ksampler(expected, steps=5), ksampler(apply(tokens), steps=5))


def test_two_adapters_agree_on_the_positive_rows(apply, tokens, term, second, model):
    adapter, own_tokens, own_term = second
    both = apply(own_tokens, ifadapter=adapter, model=apply(tokens))
    third_is_positive = {"positive": lambda chunks: [chunk == 2 for chunk in chunks]}
    expected = oracle.patch(model, replace(term, **third_is_positive), replace(own_term, **third_is_positive))
    got, want, plain = (
        sample_three(nodes_custom_sampler.Guider_DualCFG(patcher))
        for patcher in (both, expected, apply(tokens))
    )
    assert_alike(got, want, plain)


def test_layers_of_both_adapters_are_loaded(apply, tokens, second):
    adapter, own_tokens, _ = second
    first = apply(tokens)
    both = apply(own_tokens, ifadapter=adapter, model=first)
    assert {id(loaded) for loaded in first.model_patches_models()} < {
        id(loaded) for loaded in both.model_patches_models()
    }
