"""The oracle for the patched UNet: reference arithmetic in the attn2 slots of the host's model.

Independent of the pack. Layer locations, positive rows and grid sizes are stated here again; the
arithmetic is tests/reference.py in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import reference
from small_models import ADAPTED_PROCESSORS, ADAPTED_WIDTH, HEAD_DIM, TEXT_WIDTH, TEXT_WIDTHS

# Processor index in diffusers' order (down, up, mid; attn1, attn2 alternate) -> host location.
LAYERS = {
    13: ("output", 0, 0),
    15: ("output", 0, 1),
    17: ("output", 1, 0),
    19: ("output", 1, 1),
    21: ("output", 2, 0),
    23: ("output", 2, 1),
    31: ("middle", 0, 0),
    33: ("middle", 0, 1),
}
POOLED_WIDTH = TEXT_WIDTHS["clip_g"]
Boxes = Sequence[tuple[float, float, float, float]]
Phrases = tuple[Tensor, Tensor, Tensor]
Replacement = Callable[[Tensor, Tensor, Tensor, dict], Tensor]

ONE: Boxes = [(0.2, 0.25, 0.7, 0.8)]
THREE: Boxes = [(0.05, 0.3, 0.5, 0.9), (0.55, 0.1, 0.95, 0.45), (0.4, 0.4, 0.8, 0.99)]
# All ten overlap in the middle.
TEN: Boxes = [(0.03 * i, 0.05 * (9 - i), 0.45 + 0.05 * i, 0.5 + 0.05 * (9 - i)) for i in range(10)]
TWELVE: Boxes = [
    (0.25 * (i % 4), 0.3 * (i // 4), 0.25 * (i % 4) + 0.24, 0.3 * (i // 4) + 0.35) for i in range(12)
]


def make_checkpoint(seed: int) -> reference.Checkpoint:
    layers = [(processor, ADAPTED_WIDTH, HEAD_DIM) for processor in ADAPTED_PROCESSORS]
    return reference.make_release_checkpoint(seed, text_width=TEXT_WIDTH, layers=layers)


def make_phrases(count: int, seed: int = 3) -> Phrases:
    """Random text features: phrase_embeds (N, 3, 77, D), attention_mask (N, 77), eot_embeds (N, D)."""
    generator = torch.Generator().manual_seed(seed)
    phrase_embeds = torch.randn(count, 3, 77, TEXT_WIDTH, generator=generator)
    lengths = torch.randint(7, 20, (count,), generator=generator)
    attention_mask = (torch.arange(77) < lengths[:, None]).long()
    return phrase_embeds, attention_mask, phrase_embeds[torch.arange(count), 0, lengths - 1]


def grid_of(latent: Sequence[int]) -> tuple[int, int]:
    """Grid (h, w) of the adapted layers. Two stride-2 convolutions halve it, rounding up."""
    height, width = (((side + 1) // 2 + 1) // 2 for side in latent[-2:])
    return height, width


@dataclass(frozen=True)
class Term:
    """Residual that one adapter adds to its layers, in float64.

    checkpoint: weights in the release's format.
    cond, uncond: instance tokens and null tokens, each (N, M, D).
    boxes: (N, 4), x0 y0 x1 y1 as fractions of the picture.
    strength: factor on the whole residual.
    strengths: factor per instance, or None for 1.
    masks: (h, w) -> (N, h, w), the cells of each instance; None for the cells of its box.
    active: transformer options of a call -> whether the adapter acts.
    positive: cond_or_uncond of a call -> which of these conditionings are positive.
    """

    checkpoint: reference.Checkpoint
    cond: Tensor
    uncond: Tensor
    boxes: Tensor
    strength: float = 1.0
    strengths: Sequence[float] | None = None
    masks: Callable[[int, int], Tensor] | None = None
    active: Callable[[dict], bool] = lambda options: True
    positive: Callable[[list[int]], list[bool]] = lambda chunks: [chunk == 0 for chunk in chunks]

    def added(self, processor: int, q: Tensor, options: dict) -> Tensor | float:
        """Residual (rows, h*w, C) of one layer for its queries q (rows, h*w, C)."""
        if not self.active(options):
            return 0.0
        height, width = grid_of(options["original_shape"])
        chunks = self.positive(options["cond_or_uncond"])
        assert q.shape[1] == height * width
        assert q.shape[0] % len(chunks) == 0
        rows = [chunk for chunk in chunks for _ in range(q.shape[0] // len(chunks))]
        tokens = torch.stack([self.cond if positive else self.uncond for positive in rows])
        layer = reference.part(self.checkpoint["adapter_modules"], f"{processor}.")
        masks = None if self.masks is None else self.masks(height, width)
        residual = reference.layer_residual(
            layer, q.double(), tokens, self.boxes, height, width, masks=masks, strengths=self.strengths
        )
        return self.strength * residual


def make_term(checkpoint: reference.Checkpoint, phrases: Phrases, boxes: Boxes, **options: Any) -> Term:
    checkpoint = reference.double(checkpoint)
    phrase_embeds, attention_mask, eot_embeds = phrases
    given = (
        checkpoint,
        phrase_embeds.double(),
        attention_mask,
        eot_embeds.double(),
        torch.tensor(boxes, dtype=torch.float64),
    )
    return Term(
        checkpoint,
        reference.instance_tokens(*given),
        reference.null_tokens(*given),
        torch.tensor(boxes),
        **options,
    )


def text_attention(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    """The layer's own cross attention, head by head in float64."""
    size = q.shape[-1] // options["n_heads"]
    heads = []
    for start in range(0, q.shape[-1], size):
        qh, kh, vh = (x[..., start : start + size].double() for x in (q, k, v))
        heads.append((qh @ kh.transpose(1, 2) / size**0.5).softmax(dim=-1) @ vh)
    return torch.cat(heads, dim=-1)


def patch(model: Any, *terms: Term, under: Replacement = text_attention) -> Any:
    """A clone of the host's MODEL in which the adapted layers compute `under` plus all terms."""
    patched = model.clone()

    def replacement(processor: int) -> Replacement:
        def replace(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
            out = under(q, k, v, options).double()
            for term in terms:
                out = out + term.added(processor, q, options)
            return out.to(q.dtype)

        return replace

    for processor, layer in LAYERS.items():
        patched.set_model_attn2_replace(replacement(processor), *layer)
    return patched


@dataclass(frozen=True)
class Inputs:
    """Arguments of one UNet call, one row per conditioning and picture."""

    x: Tensor
    timestep: Tensor
    context: Tensor
    y: Tensor


def make_inputs(rows: int, height: int = 32, width: int = 32, seed: int = 5) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    return Inputs(
        torch.randn(rows, 4, height, width, generator=generator),
        torch.full((rows,), 500.0),
        torch.randn(rows, 77, TEXT_WIDTH, generator=generator),
        torch.randn(rows, POOLED_WIDTH + 6 * 256, generator=generator),
    )


def predict(patcher: Any, inputs: Inputs, chunks: Sequence[int] = (1, 0), sigma: float = 5.0) -> Tensor:
    """Output of the patched UNet. chunks: the host's cond_or_uncond. sigma: noise level."""
    unet = patcher.model.diffusion_model
    dtype = patcher.model.get_dtype_inference()
    options = {
        **patcher.model_options["transformer_options"],
        "cond_or_uncond": list(chunks),
        "sigmas": torch.tensor([sigma]),
    }
    x, context, y = (value.to(dtype) for value in (inputs.x, inputs.context, inputs.y))
    with torch.no_grad():
        return unet(x, inputs.timestep, context=context, y=y, transformer_options=options).float()


def make_conditioning(seed: int) -> list:
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(1, POOLED_WIDTH, generator=generator)
    return [[torch.randn(1, 77, TEXT_WIDTH, generator=generator), {"pooled_output": pooled}]]


def max_difference(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference, or infinity if a value is not finite."""
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return (a.double() - b.double()).abs().max().item()


def text_attention_in_its_dtype(q: Tensor, k: Tensor, v: Tensor, options: dict) -> Tensor:
    return text_attention(q, k, v, options).to(q.dtype)
