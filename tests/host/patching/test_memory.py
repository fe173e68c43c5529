"""Loading, caching and releasing of the adapter's weights, keys and values."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import comfy.controlnet
import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

import oracle
import small_models
from sampling import allowed, ksampler, observed, sample


def test_only_the_sampling_layers_are_loaded_for_sampling(apply, tokens, checkpoint, model):
    patched = apply(tokens)
    comfy.model_management.unload_all_models()
    loaded: dict[int, Any] = {}
    for entry in patched.model_patches_models():
        loaded[id(entry)] = entry
    assert loaded
    kept = sum(
        value.numel()
        for key, value in checkpoint["adapter_modules"].items()
        if key.split(".", 1)[1] not in ("to_k_ap.weight", "to_v_ap.weight", "k_norm.weight")
    )
    assert (
        sum(weight.numel() for entry in loaded.values() for weight in entry.model.state_dict().values())
        == kept
    )

    in_use: set[int] = set()

    def look(_options: dict) -> None:
        held = (entry.model for entry in comfy.model_management.current_loaded_models)
        in_use.update(id(patcher.model) for patcher in held if patcher is not None)

    ksampler(observed(patched, look))
    assert in_use == {id(model.model), *(id(entry.model) for entry in loaded.values())}


def test_no_copies_are_kept_after_a_run(apply, tokens):
    """The keys and values in the precision of the queries are released after the run."""
    base = small_models.small_model(torch.bfloat16)

    def copies(_options: Any = None) -> int:
        gc.collect()
        kept = (x for x in gc.get_objects() if type(x) is Tensor and x.dtype == torch.bfloat16)
        return sum(x.shape[-2:] == (13, small_models.ADAPTED_WIDTH) for x in kept)

    during: list[int] = []
    patched = observed(apply(tokens, model=base), lambda options: during.append(copies()))
    first = ksampler(patched, steps=2)
    assert len(during) == 2
    assert all(during)
    assert copies() == 0
    assert torch.equal(ksampler(patched, steps=2), first)


def test_dropped_model_frees_its_layers_at_once(apply, tokens):
    """Without waiting for the garbage collector, until which they would stay on the device."""
    patched = apply(tokens)
    layers = weakref.ref(patched.model_patches_models()[0])
    gc.disable()
    try:
        del patched
        assert layers() is None
    finally:
        gc.enable()


def test_partially_loaded_models(apply, tokens):
    """The host keeps most weights of model and adapter offloaded, and fetches each one at use."""
    base = small_models.small_model(output_scale=20.0)
    patched = apply(tokens, model=base)
    whole = sample(patched)
    comfy.model_management.unload_all_models()
    patched.partially_load(patched.load_device, 64 * 1024)
    for layers in {id(entry): entry for entry in patched.model_patches_models()}.values():
        layers.partially_load(layers.load_device, 1024)
    assert oracle.max_difference(sample(patched), whole) <= allowed(whole)
