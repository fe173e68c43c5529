"""Warnings of an adapter that is active but never called, and compiled models."""

from __future__ import annotations

from typing import Any

from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
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
    assert "another node replaced it in the model" in caplog.text


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
