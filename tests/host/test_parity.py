"""The whole UNet: the nodes against the reference arithmetic that dense.py puts into the same model."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

import dense

TOLERANCE = 5e-5  # on outputs of order 1
LAYOUTS = {"one": dense.ONE, "three": dense.THREE, "ten overlapping": dense.TEN, "twelve": dense.TWELVE}
SIZES = [(32, 32), (24, 40), (30, 22), (27, 33)]  # the last two have grids that are no exact halves


@pytest.fixture(scope="module")
def pair(model, checkpoint, apply, make_tokens):
    """pair(layout, strength) -> the same adapter twice: placed by the nodes, and by the oracle."""

    @lru_cache
    def tokens_and_term(layout: str) -> tuple[Any, dense.Term]:
        boxes = LAYOUTS[layout]
        return make_tokens(boxes), dense.make_term(checkpoint, dense.make_phrases(len(boxes)), boxes)

    def make(layout: str, strength: float = 1.0) -> tuple[Any, Any]:
        tokens, term = tokens_and_term(layout)
        return apply(tokens, strength=strength), dense.place(model, replace(term, strength=strength))

    return make


def check(pair: tuple[Any, Any], model: Any, inputs: dense.Inputs, chunks: tuple[int, ...]) -> None:
    patched, expected = (dense.predict(patcher, inputs, chunks) for patcher in pair)
    plain = dense.predict(model, inputs, chunks)
    assert 0.5 < expected.std() < 2
    assert dense.difference(expected, plain) > 1000 * TOLERANCE  # else agreement would mean nothing
    assert dense.difference(patched, expected) <= TOLERANCE


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_sizes(pair, model, layout, size):
    check(pair(layout), model, dense.make_inputs(2, *size), (1, 0))


@pytest.mark.parametrize("strength", [0.5, 1.7])
def test_strength_scales_what_is_added(pair, model, strength):
    check(pair("three", strength), model, dense.make_inputs(2, 24, 40), (1, 0))


@pytest.mark.parametrize("chunks", [(1, 0), (0, 1), (0,), (1,), (0, 1, 0)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_row_orders(pair, model, chunks, batch):
    check(pair("three"), model, dense.make_inputs(batch * len(chunks), 24, 20), chunks)


def test_rows_do_not_see_each_other(pair):
    """A row alone gives what it gives in a batch."""
    patched, _ = pair("three")
    inputs = dense.make_inputs(4, 24, 20)
    together = dense.predict(patched, inputs, (1, 0))
    for row, chunk in enumerate((1, 1, 0, 0)):
        alone = dense.Inputs(*(value[row : row + 1] for value in vars(inputs).values()))
        assert dense.difference(dense.predict(patched, alone, (chunk,)), together[row : row + 1]) <= TOLERANCE
