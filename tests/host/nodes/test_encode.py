"""The encode node, layouts without instances, and the all-in-one node."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch

import oracle
from layouts import BOXES, CANVAS, OWN_FORMAT


@pytest.fixture(scope="module")
def layout(node):
    return node("IFAdapterLayout", layout=json.dumps(OWN_FORMAT), **CANVAS)[0]


def test_tokens_carry_the_layout(node, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    assert tokens.cond.shape == tokens.uncond.shape == (2, 13, 96)
    assert tokens.strengths == (1.0, 0.5)
    assert tokens.canvas == (640, 384)
    assert torch.allclose(tokens.boxes, torch.tensor(BOXES))


def test_layout_strengths_equal_node_strengths(node, apply, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    inputs = oracle.make_inputs(2)
    own, written, even = (
        oracle.predict(apply(tokens, strengths=text), inputs) for text in ("", "1, 0.5", "1, 1")
    )
    assert torch.equal(own, written)
    assert oracle.max_difference(own, even) > 0.01


@pytest.mark.parametrize(
    ("appearance", "eot", "kept"),
    [(True, True, slice(0, 13)), (True, False, slice(0, 12)), (False, True, slice(12, 13))],
)
def test_encode_switches(node, apply, model, checkpoint, ifadapter, clip, layout, appearance, eot, kept):
    """Kept tokens out of 13, and their effect in the UNet, against the reference."""
    every = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    tokens = node(
        "IFAdapterEncode",
        ifadapter=ifadapter,
        clip=clip,
        layout=layout,
        use_appearance_tokens=appearance,
        use_eot_token=eot,
    )[0]
    assert torch.equal(tokens.cond, every.cond[:, kept])
    assert torch.equal(tokens.uncond, every.uncond[:, kept])
    term = oracle.make_term(checkpoint, oracle.make_phrases(2), BOXES, strengths=(1.0, 0.5))
    expected = oracle.patch(model, replace(term, cond=tokens.cond.double(), uncond=tokens.uncond.double()))
    inputs = oracle.make_inputs(2)
    assert (
        oracle.max_difference(oracle.predict(apply(tokens), inputs), oracle.predict(expected, inputs)) <= 5e-5
    )


def test_both_switches_off_is_an_error(node, ifadapter, clip, layout):
    with pytest.raises(ValueError, match="Switch one of them on"):
        node(
            "IFAdapterEncode",
            ifadapter=ifadapter,
            clip=clip,
            layout=layout,
            use_appearance_tokens=False,
            use_eot_token=False,
        )


@pytest.mark.parametrize("name", ["IFAdapterEncode", "IFAdapterSimple"])
def test_a_checkpoint_without_text_encoder_is_named(node, model, ifadapter, layout, name):
    inputs = {"ifadapter": ifadapter, "clip": None, "layout": layout}
    if name == "IFAdapterSimple":
        inputs |= {"model": model, "strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    with pytest.raises(ValueError, match="The CLIP is None: the checkpoint holds no text encoder"):
        node(name, **inputs)


def test_no_instances(node, apply, model, ifadapter, clip, caplog):
    empty, picture, prompt, *_ = node("IFAdapterLayout", layout="", width=256, height=128)
    assert picture.shape == (1, 256, 512, 3)  # enlarged, for readable descriptions
    assert prompt == ""
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=empty)[0]
    assert tokens.cond.shape == tokens.uncond.shape == (0, 13, 96)
    assert node("IFAdapterSemanticMap", tokens=tokens)[1].shape == (1, 128, 256, 3)
    with caplog.at_level(logging.WARNING):
        patched = apply(tokens)
    assert ["no instances" in record.getMessage() for record in caplog.records] == [True]
    assert patched is not model


def test_all_in_one_equals_the_three_nodes(node, apply, model, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    schedule = {"strength": 0.8, "start_percent": 0.1, "end_percent": 0.7}
    simple = node("IFAdapterSimple", model=model, clip=clip, ifadapter=ifadapter, layout=layout, **schedule)[
        0
    ]
    inputs = oracle.make_inputs(2)
    for sigma in (14.0, 5.0, 0.1):  # before, inside and after the window
        assert torch.equal(
            oracle.predict(simple, inputs, sigma=sigma),
            oracle.predict(apply(tokens, **schedule), inputs, sigma=sigma),
        )
    assert not torch.equal(oracle.predict(simple, inputs), oracle.predict(model, inputs))
