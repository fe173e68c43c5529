"""The run after one that was interrupted or failed."""

from __future__ import annotations

from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.samplers
import pytest
from torch import Tensor

from sampling import sample

ERRORS = {
    "error": RuntimeError("a neighbor's"),
    "interrupt": comfy.model_management.InterruptProcessingException(),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_run_after_an_aborted_one_is_unaffected(apply, tokens, error):
    patched = apply(tokens)
    before = sample(patched)
    calls: list[int] = []

    def break_off(step: int, *_: Any) -> None:
        calls.append(step)
        if step == 1:
            raise error

    with pytest.raises(type(error)):
        sample(patched, steps=6, size=(32, 20), callback=break_off)
    assert calls == [0, 1]
    assert sample(patched).equal(before)


def test_run_after_out_of_memory_is_unaffected(apply, tokens, model, monkeypatch):
    """As if the host frees memory and the user runs again."""
    patched = apply(tokens)
    before = sample(patched)
    replaced = patched.model_options["transformer_options"]["patches_replace"]["attn2"]
    kind = type(next(iter(replaced.values())))
    original, calls = kind.__call__, []

    def fail(self: Any, *args: Any) -> Tensor:
        calls.append(self)
        if len(calls) == 11:
            raise comfy.model_management.OOM_EXCEPTION("out of memory")
        return original(self, *args)

    monkeypatch.setattr(kind, "__call__", fail)
    with pytest.raises(comfy.model_management.OOM_EXCEPTION):
        sample(patched)
    monkeypatch.undo()
    comfy.model_management.unload_all_models()
    assert sample(patched).equal(before)
