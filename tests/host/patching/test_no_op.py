"""The adapter is a no-op at strength 0, without instances, and outside its schedule."""

from __future__ import annotations

import copy
import logging

import pytest
import torch

import oracle
from sampling import ksampler


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


def test_strength_zero_changes_no_bit(apply, tokens, model, inputs):
    off = apply(tokens, strength=0.0)
    assert (off.model_options, off.wrappers, off.callbacks) == (
        model.model_options,
        model.wrappers,
        model.callbacks,
    )  # no patch, so no cost either
    assert torch.equal(oracle.predict(off, inputs), oracle.predict(model, inputs))
    assert torch.equal(ksampler(off), ksampler(model))


def test_a_start_after_the_end_changes_no_bit_and_warns(apply, tokens, model, caplog):
    with caplog.at_level(logging.WARNING):
        never = apply(tokens, start_percent=0.8, end_percent=0.2)
    (line,) = (record.getMessage() for record in caplog.records)
    assert "start_percent is 0.8 and end_percent is 0.2, so the adapter acts in no step" in line
    assert (never.model_options, never.wrappers) == (model.model_options, model.wrappers)


def test_empty_layout_changes_no_bit(node, apply, ifadapter, clip, model, inputs):
    layout = node("IFAdapterLayout", layout='{"caption": "a room", "boxes": []}', width=512, height=512)[0]
    off = apply(node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0])
    assert torch.equal(oracle.predict(off, inputs), oracle.predict(model, inputs))
    assert torch.equal(ksampler(off), ksampler(model))


@pytest.mark.parametrize("window", [(0.0, 0.0), (1.0, 1.0), (0.9, 0.91), (0.6, 0.4)])
def test_outside_the_schedule_window_changes_no_bit(apply, tokens, model, inputs, window):
    """Windows without a step: beyond both ends, between two steps, and an inverted one."""
    off = apply(tokens, start_percent=window[0], end_percent=window[1])
    assert torch.equal(oracle.predict(off, inputs, sigma=14.0), oracle.predict(model, inputs, sigma=14.0))
    assert torch.equal(ksampler(off, steps=2), ksampler(model, steps=2))


def test_input_model_never_changes(apply, tokens, model, inputs):
    def state() -> list:
        return [
            copy.deepcopy(model.model_options),
            dict(model.object_patches),
            dict(model.patches),
            dict(model.callbacks),
            model.wrappers,
        ]

    options, weights = state(), {key: value.clone() for key, value in model.model.state_dict().items()}
    before = oracle.predict(model, inputs), ksampler(model)
    for patched in (apply(tokens), apply(tokens, strength=0.0), apply(tokens, end_percent=0.4)):
        assert patched is not model
        ksampler(patched)
    assert state() == options
    assert all(torch.equal(value, weights[key]) for key, value in model.model.state_dict().items())
    assert torch.equal(oracle.predict(model, inputs), before[0])
    assert torch.equal(ksampler(model), before[1])
