"""A layout for each image of a batch."""

from __future__ import annotations

from typing import Any

import comfy.sample
import pytest
import torch

import oracle
from sampling import SIZE, allowed, sample


@pytest.fixture(scope="module")
def layouts(ifadapter, make_tokens):
    """Tokens of three layouts, one of them without instances."""
    return [make_tokens(oracle.THREE), ifadapter.model.no_instances(), make_tokens(oracle.ONE)]


@pytest.fixture(scope="module")
def apply_all(node, ifadapter, model):
    def apply_all(*tokens: Any) -> Any:
        maps = [node("IFAdapterSemanticMap", tokens=part)[0] for part in tokens]
        batch = node("IFAdapterBatchMaps", semantic_maps=maps[:2], more_maps=maps[2:] or None)[0]
        schedule = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        return node("IFAdapterApply", model=model, ifadapter=ifadapter, semantic_map=batch, **schedule)[0]

    return apply_all


def test_each_image_of_a_batch_has_its_own_layout(apply_all, apply, layouts, model):
    together = sample(apply_all(*layouts), batch=4)  # the fourth image has the first layout
    noise = comfy.sample.prepare_noise(torch.zeros(4, 4, *SIZE), 7)
    for image, tokens in enumerate([*layouts, layouts[0]]):
        alone = sample(apply(tokens), noise=noise[image : image + 1])
        assert oracle.max_difference(together[image : image + 1], alone) <= allowed(together)
    plain = sample(model, batch=4)
    assert oracle.max_difference(together[1], plain[1]) <= allowed(together)
    assert all(
        oracle.max_difference(together[image], plain[image]) > 100 * allowed(together) for image in (0, 2, 3)
    )


def test_batch_of_one_equals_its_map(apply_all, apply, layouts):
    assert sample(apply_all(layouts[0]), batch=2).equal(sample(apply(layouts[0]), batch=2))


def test_maps_with_different_token_counts_are_an_error(node, layouts):
    maps = [
        node("IFAdapterSemanticMap", tokens=part)[0] for part in (layouts[0], layouts[2].select(True, False))
    ]
    with pytest.raises(ValueError, match="12 and 13 tokens for each instance"):
        node("IFAdapterBatchMaps", semantic_maps=maps)
