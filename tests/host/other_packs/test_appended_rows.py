"""Samplers that append rows to the text, as KSamplerWithNAG of ComfyUI-NAG does."""

from __future__ import annotations

from types import MethodType
from typing import Any

import pytest
import torch
from comfy.ldm.modules.attention import CrossAttention, optimized_attention
from torch import Tensor

import oracle
from sampling import OTHER, assert_alike, sample, warnings_of


def attend_with_guidance(self: CrossAttention, x: Tensor, context: Tensor, **_: Any) -> Tensor:
    """Attention of a layer that no pack replaces: the last rows are pushed away from the appended text."""
    extra = context.shape[0] - x.shape[0]
    q = self.to_q(torch.cat([x, x[-extra:]]))
    out = optimized_attention(q, self.to_k(context), self.to_v(context), self.heads)
    rest, towards, away = out.split([x.shape[0] - extra, extra, extra])
    return self.to_out(torch.cat([rest, towards + 0.3 * (towards - away)]))


def sample_with_guidance(model: Any) -> Tensor:
    """Sample as such a pack does: it exchanges the forward of the UNet and of its attention layers.

    An error would leave the model changed, because the pack restores it only after a complete run.
    """
    unet = model.model.diffusion_model
    forward = unet.forward
    layers = [
        layer for name, layer in unet.named_modules() if "attn2" in name and isinstance(layer, CrossAttention)
    ]

    def with_appended_text(x: Tensor, timesteps: Tensor, context: Tensor, **options: Any) -> Tensor:
        for layer in layers:
            layer.forward = MethodType(attend_with_guidance, layer)
        out = forward(x, timesteps, context=torch.cat([context, OTHER[0][0].to(context)]), **options)
        for layer in layers:
            del layer.forward
        return out

    unet.forward = with_appended_text
    samples = sample(model)
    del unet.forward
    return samples


@pytest.fixture(autouse=True)
def restored(model):
    """The session's model as it was, also after a failed test."""
    yield
    for module in model.model.diffusion_model.modules():
        vars(module).pop("forward", None)


def attend_to_own_text(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    return oracle.text_attention(q, k[: len(q)], v[: len(q)], options)


def test_appended_text_is_left_out_of_the_adapted_layers_with_one_warning(apply, tokens, term, model, caplog):
    patched = apply(tokens)
    before = sample(patched)
    got, want, plain = (
        sample_with_guidance(patcher)
        for patcher in (
            patched,
            oracle.patch(model, term, under=attend_to_own_text),
            oracle.patch(model, under=attend_to_own_text),
        )
    )
    assert_alike(got, want, plain)
    assert not want.equal(sample(oracle.patch(model, term)))  # the other layers have the guidance
    assert len(warnings_of(caplog)) == 1
    assert "appended 1 rows to the 2 rows of the text, as KSamplerWithNAG does" in caplog.text
    assert sample(patched).equal(before)


def test_missing_rows_of_the_text_are_an_error_that_counts_them(apply, tokens):
    def drop(n: Tensor, context: Tensor, value: Tensor, options: dict) -> tuple[Tensor, ...]:
        rows = 1 if options["block"] == ("middle", 0) else len(context)
        return n, context[:rows], value[:rows]

    patched = apply(tokens)
    patched.set_model_attn2_patch(drop)
    with pytest.raises(ValueError, match="the picture has 2, the text has 1"):
        sample(patched)
