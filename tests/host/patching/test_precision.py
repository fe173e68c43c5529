"""Data types of model and adapter, quantized layers, and no float64 (Apple GPUs have none)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import oracle
import small_models
from sampling import TOLERANCE, assert_alike, ksampler, sample


@pytest.fixture(scope="module")
def inputs():
    return oracle.make_inputs(2, 32, 32)


@pytest.mark.parametrize(
    ("dtype", "cast", "tolerance"),
    [
        pytest.param(torch.float16, None, 1e-2, id="float16"),
        pytest.param(torch.bfloat16, None, 8e-2, id="bfloat16"),
        pytest.param(torch.float8_e4m3fn, torch.float32, TOLERANCE, id="float8 weights, float32 arithmetic"),
        pytest.param(torch.float8_e4m3fn, torch.bfloat16, 8e-2, id="float8 weights, bfloat16 arithmetic"),
    ],
)
def test_model_precisions(apply, tokens, term, inputs, dtype, cast, tolerance):
    """The adapter computes in the precision of the queries, whatever that of the stored weights."""
    base = small_models.small_model(dtype, cast=cast, output_scale=20.0)
    patched, expected, plain = (
        oracle.predict(m, inputs) for m in (apply(tokens, model=base), oracle.patch(base, term), base)
    )
    assert oracle.max_difference(expected, plain) > 3 * tolerance
    assert oracle.max_difference(patched, expected) <= tolerance
    assert ksampler(apply(tokens, model=base), steps=2).isfinite().all()


def test_half_precision_adapter_file(load, apply, make_tokens, checkpoint, model, inputs):
    halves = {
        part: {key: value.half() for key, value in weights.items()} for part, weights in checkpoint.items()
    }
    adapter = load("half.bin", halves)
    assert {weight.dtype for weight in adapter.model.state_dict().values()} == {torch.float16}
    patched = apply(make_tokens(oracle.THREE, adapter), ifadapter=adapter)
    expected = oracle.patch(model, oracle.make_term(halves, oracle.make_phrases(3), oracle.THREE))
    assert (
        oracle.max_difference(oracle.predict(patched, inputs), oracle.predict(expected, inputs)) <= TOLERANCE
    )


class NoFloat64(TorchDispatchMode):
    """Fails on every tensor of a type that Apple GPUs lack."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            assert not isinstance(value, Tensor) or value.dtype not in (torch.float64, torch.complex128), (
                function
            )
        return out


def test_nothing_is_computed_in_float64(node, ifadapter, clip, model):
    text = '{"boxes": [{"x": 0.1, "y": 0.1, "w": 0.5, "h": 0.6, "caption": "a cat"}]}'
    layout = node("IFAdapterLayout", layout=text, width=160, height=192)[0]
    with NoFloat64():
        tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
        semantic_map = node("IFAdapterSemanticMap", tokens=tokens, masks=torch.ones(1, 20, 20))[0]
        patched = node(
            "IFAdapterApply",
            model=model,
            ifadapter=ifadapter,
            semantic_map=semantic_map,
            strength=0.8,
            start_percent=0.0,
            end_percent=1.0,
        )[0]
        oracle.predict(patched, oracle.make_inputs(2))


class Quantized(torch.nn.Module):
    """A linear layer like those of GGUF packs: int8 weights, dequantized at every call."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.scale = linear.weight.detach().abs().max().item() / 127
        self.weight = torch.nn.Parameter(
            (linear.weight.detach() / self.scale).round().to(torch.int8), requires_grad=False
        )
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.weight.to(x.dtype) * self.scale, self.bias)


def test_quantized_layers(apply, tokens, term):
    base = small_models.small_model(output_scale=20.0)
    for module in list(base.model.diffusion_model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and name in ("to_q", "to_k", "to_v"):
                setattr(module, name, Quantized(child))
    got, want, plain = (
        sample(patcher) for patcher in (apply(tokens, model=base), oracle.patch(base, term), base)
    )
    assert_alike(got, want, plain)
