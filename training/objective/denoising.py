"""The loss of an adapter: the base model's own, with the adapter in its UNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ifadapter_core.adapter import IFAdapter
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.tokens import PhraseEmbeddings
from ifadapter_diffusers.adapted_unet import AdaptedUNet, RowGroup
from ifadapter_diffusers.base_model import BaseModel, Conditioning, SizeConditioning
from ifadapter_diffusers.sampling import add_noise, canvas_of

from ..config import AdapterLoss
from .bands import BandLosses
from .text_states import TextStates
from .weights import box_weights, snr_weights

NO_EFFECT = Instance(Box(0.0, 0.0, 1.0, 1.0), "")


class LayoutBatch(NamedTuple):
    """B pictures, as latents or as pixels, with their layouts.

    layouts: B layouts of one canvas size.
    latents: (B, C, h, w), scaled, or None.
    images: (B, 3, H, W) in -1..1; used if there are no latents.
    text: of the layouts, encoded; None: encoded when it is needed.
    sizes: what SDXL is told of each picture's size; None: pictures that were neither scaled nor cropped.
    """

    layouts: list[Layout]
    latents: Tensor | None = None
    images: Tensor | None = None
    text: TextStates | None = None
    sizes: list[SizeConditioning] | None = None


class InstanceDenoising(nn.Module):
    """The base model's denoising loss with an adapter in the UNet. Only the adapter is trained."""

    def __init__(self, base: BaseModel, adapter: IFAdapter, loss: AdapterLoss) -> None:
        super().__init__()
        self.base = base
        self.adapted = AdaptedUNet(base.unet, adapter)
        self.loss = loss
        self.bands = BandLosses(base.scheduler.config["num_train_timesteps"])

    def forward(self, batch: LayoutBatch, generator: torch.Generator) -> Tensor:
        """B pictures -> loss ().

        Each picture has ``loss.noises`` adjacent rows with different noise.
        """
        base, noises = self.base, self.loss.noises

        # Condition dropout, for classifier-free guidance.
        chances = torch.rand(2, len(batch.layouts), generator=generator, device=generator.device)
        drop_local = (chances[0] < self.loss.drop_local).tolist()
        drop_global = (chances[1] < self.loss.drop_global).tolist()
        conditioning = caption_conditions(base, batch, drop_global).repeat(noises)
        layouts, strength = batch.layouts, 1.0
        if not any(layout.instances for layout in layouts):
            # An instance without effect: several processes need a gradient of every weight, in one order.
            layouts, strength = [replace(layouts[0], instances=(NO_EFFECT,)), *layouts[1:]], 0.0
        phrases = batch.text.phrases if batch.text else None
        groups = training_groups(self.adapted.adapter, base, layouts, drop_local, noises, strength, phrases)

        # Noise, and its prediction.
        latents = self.latents(batch)
        noisy, timesteps, target = add_noise(
            base.scheduler,
            latents.repeat_interleave(noises, dim=0),
            generator,
            self.loss.middle,
            self.loss.noise_offset,
        )
        prediction = self.adapted(noisy.to(base.unet.dtype), timesteps, conditioning, groups).float()

        # Weighted mean of the squared error.
        height, width = latents.shape[-2:]
        weights = box_weights(batch.layouts, height, width, self.loss.box_weight)
        weights = weights.to(base.device).repeat_interleave(noises, dim=0)
        errors = (prediction - target).square().mean(dim=1) * weights
        self.bands.add(timesteps, errors.detach().sum(dim=(1, 2)) / weights.sum(dim=(1, 2)))
        levels = snr_weights(base.scheduler, timesteps, self.loss.snr_gamma)
        return (errors * levels[:, None, None]).sum() / weights.sum()

    def latents(self, batch: LayoutBatch) -> Tensor:
        """The scaled latents (B, C, h, w) of a batch, on the base model's device."""
        if batch.latents is not None:
            return batch.latents.to(self.base.device).float()
        assert batch.images is not None
        return self.base.encode(batch.images)


def caption_conditions(base: BaseModel, batch: LayoutBatch, dropped: Sequence[bool]) -> Conditioning:
    """The conditions of each picture's caption.

    dropped: pictures with the empty text in place of their caption.
    """
    canvas = canvas_of(batch.layouts)
    if batch.text is not None:
        return base.conditioning(batch.text.captions_without(dropped, base.device), canvas, batch.sizes)
    captions = ["" if drop else layout.caption for layout, drop in zip(batch.layouts, dropped, strict=True)]
    return base.condition(captions, canvas, batch.sizes)


def training_groups(
    adapter: IFAdapter,
    base: BaseModel,
    layouts: Sequence[Layout],
    dropped: Sequence[bool],
    copies: int,
    strength: float = 1.0,
    phrases: PhraseEmbeddings | None = None,
) -> list[RowGroup]:
    """The instances of each picture, each repeated in ``copies`` adjacent rows of the batch.

    dropped: pictures with null tokens in place of their local descriptions; their boxes stay.
    strength: of all instances.
    phrases: the local descriptions of all layouts, encoded; default: encoded here.
    """
    if not any(layout.instances for layout in layouts):
        return []
    boxes = [torch.tensor(layout.boxes).reshape(-1, 4) for layout in layouts]
    counts = [len(part) for part in boxes]
    if phrases is None:
        phrases = base.embed_phrases(
            [text for layout in layouts for text in layout.local_descriptions],
            adapter.config.settings.text_depths,
        )

    # Null condition: zero embeddings and an all-zero attention mask.
    described = torch.tensor(
        [not drop for drop, count in zip(dropped, counts, strict=True) for _ in range(count)],
        device=base.device,
    )
    phrases = PhraseEmbeddings(
        phrases.phrase_embeds.to(base.device).float() * described[:, None, None, None],
        phrases.attention_mask.to(base.device) * described[:, None],
        phrases.eot_embeds.to(base.device).float() * described[:, None],
    )

    tokens = adapter(phrases, torch.cat(boxes).to(base.device)).split(counts)
    return [
        RowGroup(
            rows=tuple(range(number * copies, (number + 1) * copies)),
            tokens=part.expand(copies, -1, -1, -1),
            boxes=box,
            strengths=(strength,) * len(box),
        )
        for number, (part, box) in enumerate(zip(tokens, boxes, strict=True))
    ]
