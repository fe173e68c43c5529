"""Applies an adapter to a model through the host's patch API."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import comfy.patcher_extension

from ...ifadapter_core.adapter import IFAdapter
from ...ifadapter_core.semantic_map import SemanticMap
from .application import KEY, AppliedAdapter
from .attention_patch import InstanceAttentionPatch, copy_attention_patches
from .unet_layers import find_layers


def apply_adapter(
    model: Any,
    ifadapter: Any,
    semantic_maps: Sequence[SemanticMap],
    strength: float,
    start_percent: float,
    end_percent: float,
) -> Any:
    """A clone of the host's MODEL with the adapter. The given model is not changed.

    ifadapter: the loader's ModelPatcher around an IFAdapter.
    semantic_maps: one per image of a batch, in order. A longer batch starts again with the first.
    strength: factor on the adapter's output, 1 as trained. With 0 nothing is patched.
    start_percent, end_percent: active part of the model's noise schedule, 0 = pure noise. With the
        start after the end nothing is patched, with a warning.

    Raises ValueError if the model or the semantic maps do not fit the adapter.
    """
    adapter: IFAdapter = ifadapter.model
    layers = find_layers(model, adapter.config)
    _check_token_width(adapter, semantic_maps)
    patched = model.clone()
    if not any(len(semantic_map.tokens) for semantic_map in semantic_maps):
        logging.warning(
            "IFAdapter: the layout has no instances, so the model stays unchanged. Draw a box to "
            "use the adapter."
        )
        return patched
    if strength == 0:
        return patched
    if start_percent > end_percent:
        logging.warning(
            "IFAdapter: start_percent is %g and end_percent is %g, so the adapter acts in no step. Set the "
            "start before the end.",
            start_percent,
            end_percent,
        )
        return patched
    applied = AppliedAdapter(model, ifadapter, layers, semantic_maps, strength, start_percent, end_percent)

    # Slots: chain a patch that is already there.
    occupied = patched.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    for processor, layer in layers.items():
        below = occupied.get(tuple(layer)), occupied.get(tuple(layer[:2]))
        patched.set_model_attn2_replace(InstanceAttentionPatch(applied, str(processor), *below), *layer)

    # Wrappers: in the options, next to the slots, because some packs run the model with a copy of the
    # options.
    kinds = comfy.patcher_extension.WrappersMP
    wrappers = {
        kinds.SAMPLER_SAMPLE: applied.wrap_run,
        kinds.CALC_COND_BATCH: applied.wrap_batch,
        kinds.APPLY_MODEL: applied.wrap_unet_call,
    }
    for kind, wrapper in wrappers.items():
        comfy.patcher_extension.add_wrapper_with_key(
            kind, KEY, wrapper, patched.model_options, is_model_options=True
        )

    # Callbacks: all adapters of a model share the one for its clones.
    callbacks = comfy.patcher_extension.CallbacksMP
    patched.add_callback_with_key(callbacks.ON_CLEANUP, KEY, applied.release_caches)
    if not patched.get_callbacks(callbacks.ON_CLONE, KEY):
        patched.add_callback_with_key(callbacks.ON_CLONE, KEY, copy_attention_patches)
    return patched


def _check_token_width(adapter: IFAdapter, semantic_maps: Sequence[SemanticMap]) -> None:
    expected = adapter.config.resampler.token_width
    for semantic_map in semantic_maps:
        given = semantic_map.tokens.cond.shape[-1]
        if given != expected:
            raise ValueError(
                f"The instance tokens are {given} wide, but this adapter expects {expected}. Use "
                "the same adapter in IFAdapter Encode and IFAdapter Apply."
            )
