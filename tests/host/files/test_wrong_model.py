"""An adapter on a model that it was not made for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

import oracle
import reference


@pytest.mark.parametrize(
    ("layers", "of_the_adapter"),
    [
        pytest.param([(49, 32, 16), (121, 48, 8)], ["2 layers", "32, 48 wide", "49, 121"], id="other layers"),
        pytest.param([(13, 32, 32)], ["1 layers", "32 wide", "13"], id="other width"),
        pytest.param([(13, 64, 16)], ["1 layers", "64 wide", "13"], id="other heads"),
        pytest.param([(14, 64, 32)], ["14"], id="a self attention"),
        pytest.param([(35, 64, 32)], ["35"], id="beyond the last"),
    ],
)
def test_adapter_for_another_model(load, apply, make_tokens, layers, of_the_adapter):
    checkpoint = reference.make_release_checkpoint(1, text_width=oracle.TEXT_WIDTH, layers=layers)
    adapter = load("other_model.bin", checkpoint)
    tokens = make_tokens(oracle.ONE, adapter)
    with pytest.raises(ValueError, match="does not fit this model") as error:
        apply(tokens, ifadapter=adapter)
    for part in (*of_the_adapter, "(SDXL)", "34 attention processors", "32, 64 wide"):
        assert part in str(error.value)


def test_tokens_of_another_adapter(load, apply, make_tokens):
    layers = [(processor, oracle.ADAPTED_WIDTH, oracle.HEAD_DIM) for processor in oracle.LAYERS]
    narrow = load("narrow.bin", reference.make_release_checkpoint(1, text_width=64, layers=layers))
    with pytest.raises(ValueError, match=r"96 wide, .* expects 64\. .*same adapter"):
        apply(make_tokens(oracle.ONE), ifadapter=narrow)


def test_model_without_a_unet(apply, make_tokens):
    model = SimpleNamespace(
        model=SimpleNamespace(diffusion_model=torch.nn.Linear(2, 2), model_config=SimpleNamespace())
    )
    with pytest.raises(ValueError, match="has no UNet") as error:
        apply(make_tokens(oracle.ONE), model=model)
    assert "8 layers" in str(error.value)
    assert "SimpleNamespace" in str(error.value)
