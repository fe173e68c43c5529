"""The whole UNet: the nodes against the oracle's reference arithmetic in the same model."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

import oracle

TOLERANCE = 5e-5  # on outputs of order 1
LAYOUTS = {"one": oracle.ONE, "three": oracle.THREE, "ten overlapping": oracle.TEN, "twelve": oracle.TWELVE}
SIZES = [(32, 32), (24, 40), (30, 22), (27, 33)]  # the sides of the last two do not divide by 4


@pytest.fixture(scope="module")
def pair(model, checkpoint, apply, make_tokens):
    """pair(layout, strength) -> two models with the same adapter: by the nodes, and by the oracle."""

    @lru_cache
    def tokens_and_term(layout: str) -> tuple[Any, oracle.Term]:
        boxes = LAYOUTS[layout]
        return make_tokens(boxes), oracle.make_term(checkpoint, oracle.make_phrases(len(boxes)), boxes)

    def make(layout: str, strength: float = 1.0) -> tuple[Any, Any]:
        tokens, term = tokens_and_term(layout)
        return apply(tokens, strength=strength), oracle.patch(model, replace(term, strength=strength))

    return make


def check(pair: tuple[Any, Any], model: Any, inputs: oracle.Inputs, chunks: tuple[int, ...]) -> None:
    patched, expected = (oracle.predict(patcher, inputs, chunks) for patcher in pair)
    plain = oracle.predict(model, inputs, chunks)
    assert 0.5 < expected.std() < 2
    assert oracle.max_difference(expected, plain) > 1000 * TOLERANCE  # otherwise equality would prove nothing
    assert oracle.max_difference(patched, expected) <= TOLERANCE


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_sizes(pair, model, layout, size):
    check(pair(layout), model, oracle.make_inputs(2, *size), (1, 0))


@pytest.mark.parametrize("strength", [0.5, 1.7])
def test_strength_scales_the_residual(pair, model, strength):
    check(pair("three", strength), model, oracle.make_inputs(2, 24, 40), (1, 0))


@pytest.mark.parametrize("chunks", [(1, 0), (0, 1), (0,), (1,), (0, 1, 0)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_row_orders(pair, model, chunks, batch):
    check(pair("three"), model, oracle.make_inputs(batch * len(chunks), 24, 20), chunks)


def test_rows_are_independent(pair):
    """A single row gives the same result as in a batch."""
    patched, _ = pair("three")
    inputs = oracle.make_inputs(4, 24, 20)
    together = oracle.predict(patched, inputs, (1, 0))
    for row, chunk in enumerate((1, 1, 0, 0)):
        alone = oracle.Inputs(*(value[row : row + 1] for value in vars(inputs).values()))
        assert (
            oracle.max_difference(oracle.predict(patched, alone, (chunk,)), together[row : row + 1])
            <= TOLERANCE
        )
