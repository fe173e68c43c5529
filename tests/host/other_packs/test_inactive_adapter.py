"""Warnings of an adapter that is active but not called in a run; caches and compiled models."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from torch import Tensor

import oracle
from sampling import allowed, assert_alike, sample, warnings_of


def test_replaced_adapter_warns_once(apply, tokens, model, caplog):
    taken = apply(tokens)
    for key in oracle.LAYERS.values():
        taken.set_model_attn2_replace(oracle.text_attention_in_its_dtype, *key)
    plain = sample(model)
    assert oracle.max_difference(sample(taken), plain) <= allowed(plain)
    assert len(warnings_of(caplog)) == 1
    assert "another node replaced it in the model (8 of 8 layers; there now: oracle)" in caplog.text


@pytest.fixture(params=["function", "partial", "object"])
def foreign(request) -> Any:
    """The patch of a pack in the folder custom_nodes/sd-other.pack."""

    def attend(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
        return oracle.text_attention_in_its_dtype(q, k, v, options)

    class Attention:
        def __call__(self, *args: Any) -> Tensor:
            return attend(*args)

    attend.__module__ = Attention.__module__ = "/comfy/custom_nodes/sd-other_x_pack.attention"
    return {"function": attend, "partial": functools.partial(attend), "object": Attention()}[request.param]


def test_layers_that_another_pack_replaced_are_counted_with_its_name(
    apply, tokens, term, model, foreign, caplog
):
    def taken(patcher: Any) -> Any:
        clone = patcher.clone()
        for key in list(oracle.LAYERS.values())[:6]:
            clone.set_model_attn2_replace(foreign, *key)
        return clone

    got, want, plain = (
        sample(taken(patcher)) for patcher in (apply(tokens), oracle.patch(model, term), model)
    )
    assert_alike(got, want, plain)
    assert len(warnings_of(caplog)) == 1
    assert "replaced it in the model (6 of 8 layers; there now: sd-other.pack)" in caplog.text


def test_replaced_first_of_two_adapters_warns_once(apply, tokens, caplog):
    first = apply(tokens)
    for key in oracle.LAYERS.values():
        first.set_model_attn2_replace(oracle.text_attention_in_its_dtype, *key)
    sample(apply(tokens, model=first))
    assert len(warnings_of(caplog)) == 1
    assert "(8 of 8 layers; there now: oracle)" in caplog.text


def reusing(model: Any) -> Any:
    """A clone that answers every second UNet call with the output of the call before."""
    clone, outputs = model.clone(), []

    def wrap(apply_model: Callable[..., Tensor], call: dict) -> Tensor:
        if len(outputs) % 2 == 0:
            outputs.append(apply_model(call["input"], call["timestep"], **call["c"]))
        else:
            outputs.append(outputs[-1])
        return outputs[-1]

    clone.set_model_unet_function_wrapper(wrap)
    return clone


CACHES = {
    "EasyCache": lambda model: EasyCacheNode.execute(model, 3.0, 0.0, 1.0, False)[0],
    "LazyCache": lambda model: LazyCacheNode.execute(model, 3.0, 0.0, 1.0, False)[0],
    "function wrapper": reusing,
}


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("order", ["before", "behind"])
def test_caches_that_skip_calls_do_not_warn(apply, tokens, term, model, name, order, caplog):
    cache = CACHES[name]
    caplog.set_level(logging.INFO)
    got = sample(cache(apply(tokens)) if order == "behind" else apply(tokens, model=cache(model)), steps=8)
    assert "skipped 0/" not in caplog.text
    assert not warnings_of(caplog)
    want, plain = (sample(cache(patcher), steps=8) for patcher in (oracle.patch(model, term), model))
    assert_alike(got, want, plain)


def test_uncalled_adapter_warns_once(apply, tokens, model, caplog):
    """For example, compiled blocks that were traced without the patches, or skipped blocks."""
    patched = apply(tokens)

    def hide(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        options = (
            args[-1]
            if isinstance(args[-1], dict) and "patches_replace" in args[-1]
            else kwargs["transformer_options"]
        )
        slots = options["patches_replace"].pop("attn2")
        try:
            return executor(*args, **kwargs)
        finally:
            options["patches_replace"]["attn2"] = slots

    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", hide)
    assert sample(patched).equal(sample(model))
    assert len(warnings_of(caplog)) == 1
    assert "the model did not call it" in caplog.text


def test_adapter_outside_its_schedule_does_not_warn(apply, tokens, caplog):
    sample(apply(tokens, start_percent=0.99, end_percent=1.0))
    assert not warnings_of(caplog)


def compiled(model: Any, **options: Any) -> Any:
    clone = model.clone()
    set_torch_compile_wrapper(model=clone, backend="eager", options=options or None)
    return clone


def test_compiled_without_guard_filter_equals_uncompiled(apply, tokens, model, caplog):
    patched = apply(tokens)
    got, want, plain = sample(compiled(patched)), sample(patched), sample(model)
    assert_alike(got, want, plain)
    assert not warnings_of(caplog)


def test_compiled_with_guard_filter_acts_or_warns(apply, tokens, model, caplog):
    """The host's compile node may reuse a trace from before the patches."""
    options = {"guard_filter_fn": skip_torch_compile_dict}
    plain = sample(compiled(model, **options))
    patched = apply(tokens)
    got, want = sample(compiled(patched, **options)), sample(patched)
    if oracle.max_difference(got, want) > allowed(want):
        assert oracle.max_difference(got, plain) <= allowed(plain)
        assert len(warnings_of(caplog)) == 1
        assert "If the model is compiled" in caplog.text
    else:
        assert not warnings_of(caplog)
