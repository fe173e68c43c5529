"""A training-free baseline: cross attention to each local description, restricted to its box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Layout

from .adapted_unet import grid_of
from .base_model import BaseModel, Conditioning
from .plain_attention import attend
from .sampling import Noise, canvas_of, guidance_rows, guided, unit_noise


class RegionalUNet(nn.Module):
    """Cells inside boxes attend to the boxes' descriptions, all other cells to the prompt.

    In overlaps the results are averaged. Permanently replaces the UNet's attention processors.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.layouts: Sequence[Layout] = ()
        self.texts: Tensor | None = None  # (I, T, D) states of all local descriptions, layout by layout
        # For each number: the batch rows with an instance of this number, and its place in ``texts``.
        self.numbered: list[tuple[Tensor, Tensor]] = []
        self._masks: dict[tuple[int, int], Tensor] = {}  # by grid
        self.latent_size = (0, 0)
        unet.set_attn_processor(
            {
                name: _Processor(self) if name.endswith("attn2.processor") else processor
                for name, processor in unet.attn_processors.items()
            }
        )

    def forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Latents (B, C, h, w) at timesteps (B,) -> the UNet's prediction (B, C, h, w)."""
        self.latent_size = (latents.shape[-2], latents.shape[-1])
        added = conditioning.added or None
        return self.unet(
            latents.to(self.unet.dtype), timesteps, conditioning.text_states, added_cond_kwargs=added
        ).sample

    def set_layouts(self, base: BaseModel, layouts: Sequence[Layout]) -> None:
        """Set the layouts of the conditional rows, which follow as many unconditional rows."""
        self.layouts, self._masks, self.numbered = layouts, {}, []
        texts = [text for layout in layouts for text in layout.local_descriptions]
        self.texts = base.condition(texts, canvas_of(layouts)).text_states if texts else None
        counts = [len(layout.instances) for layout in layouts]
        firsts = [sum(counts[:number]) for number in range(len(counts))]
        for number in range(max(counts, default=0)):
            having = [index for index, count in enumerate(counts) if count > number]
            rows = torch.tensor([len(layouts) + index for index in having])
            places = torch.tensor([firsts[index] + number for index in having])
            self.numbered.append((rows.to(base.device), places.to(base.device)))

    def masks(self, height: int, width: int) -> Tensor:
        """The boxes of all instances as 0/1 masks (I, height * width, 1), memoized."""
        if (height, width) not in self._masks:
            assert self.texts is not None
            masks = torch.zeros(len(self.texts), height, width)
            boxes = [box for layout in self.layouts for box in layout.boxes]
            for mask, box in zip(masks, boxes, strict=True):
                cells = cell_range(box, height, width)
                mask[cells.rows, cells.columns] = 1
            self._masks[height, width] = masks.flatten(1)[..., None].to(self.texts)
        return self._masks[height, width]


class _Processor:
    def __init__(self, regional: RegionalUNet) -> None:
        self.regional = regional

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        q = attn.to_q(hidden_states)
        k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        out = attend(q, k, v, attn.heads)
        texts = self.regional.texts
        if texts is not None:
            # Attend to each description everywhere, then average inside the boxes.
            masks = self.regional.masks(*grid_of(q.shape[1], *self.regional.latent_size))
            k, v = attn.to_k(texts), attn.to_v(texts)
            total, boxes = torch.zeros_like(out), out.new_zeros(*out.shape[:2], 1)
            for rows, places in self.regional.numbered:
                total[rows] += masks[places] * attend(q[rows], k[places], v[places], attn.heads)
                boxes[rows] += masks[places]
            out = torch.where(boxes > 0, total / boxes.clamp(min=1), out)
        return attn.to_out[1](attn.to_out[0](out))


@torch.no_grad()
def sample_regional(
    regional: RegionalUNet,
    base: BaseModel,
    layouts: Sequence[Layout],
    noise: Noise,
    steps: int,
    guidance: float,
) -> Tensor:
    """Pictures of layouts, (B, 3, H, W) in about -1..1. Same noise as ``sample_layouts``."""
    conditioning = guidance_rows(base, layouts)
    regional.set_layouts(base, layouts)
    start = unit_noise(base, layouts, noise)
    return base.decode(
        guided(lambda x, t: regional(x, t, conditioning), base.scheduler, start, steps, guidance)
    )
