"""Layout -> instance tokens, by the host's CLIP and the adapter's resampler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.model_management
import torch

from ...ifadapter_core.adapter import IFAdapter
from ...ifadapter_core.layout import Layout
from ...ifadapter_core.tokens import InstanceTokens
from .text import encode_phrases


def encode_layout(ifadapter: Any, clip: Any, layout: Layout) -> InstanceTokens:
    """Instance tokens (N, M, D) of a layout, float32 on the host's intermediate device.

    ifadapter: the loader's ModelPatcher around an IFAdapter. clip: the host's CLIP.
    An empty layout gives zero instances. Raises ValueError if the CLIP does not fit the adapter.
    """
    adapter: IFAdapter = ifadapter.model
    keep = comfy.model_management.intermediate_device()
    canvas = (layout.width, layout.height)
    if not layout.instances:
        return replace(adapter.no_instances(), canvas=canvas)
    phrases = encode_phrases(clip, layout.local_descriptions, adapter.config)
    comfy.model_management.load_models_gpu([ifadapter])
    device = ifadapter.load_device
    tokens = adapter.encode_instances(
        phrases.phrase_embeds.to(device),
        phrases.attention_mask.to(device),
        phrases.eot_embeds.to(device),
        torch.tensor(layout.boxes),
    )
    strengths = tuple(instance.strength for instance in layout.instances)
    return replace(
        tokens, cond=tokens.cond.to(keep), uncond=tokens.uncond.to(keep), strengths=strengths, canvas=canvas
    )
