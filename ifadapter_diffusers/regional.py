"""A training-free baseline: cross attention to each local description, restricted to its box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Box, Layout

from .adapted_unet import grid_of
from .base_model import BaseModel, Conditioning
from .plain_attention import attend
from .sampling import guidance_rows, guided, unit_noise


class RegionalUNet(nn.Module):
    """Cells inside boxes attend to the boxes' descriptions, all other cells to the prompt.

    In overlaps the results are averaged. Permanently replaces the UNet's attention processors.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.texts: dict[int, Tensor] = {}  # batch row -> (N, T, D) text states
        self.boxes: dict[int, list[Box]] = {}  # batch row -> its N boxes
        self._masks: dict[tuple[int, int, int], Tensor] = {}  # by row and grid
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
        numbered = enumerate(layouts, start=len(layouts))
        rows = {row: layout for row, layout in numbered if layout.instances}
        self.texts = {
            row: base.condition(layout.local_descriptions, (layout.height, layout.width)).text_states
            for row, layout in rows.items()
        }
        self.boxes = {row: layout.boxes for row, layout in rows.items()}
        self._masks = {}

    def masks(self, row: int, height: int, width: int) -> Tensor:
        """The boxes of a row as 0/1 masks (N, height, width, 1), memoized."""
        if (row, height, width) not in self._masks:
            masks = torch.zeros(len(self.boxes[row]), height, width, 1)
            for number, box in enumerate(self.boxes[row]):
                cells = cell_range(box, height, width)
                masks[number, cells.rows, cells.columns] = 1
            self._masks[row, height, width] = masks.to(self.texts[row])
        return self._masks[row, height, width]


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
        prompt = attend(q, k, v, attn.heads)
        out = prompt.clone()
        grid = grid_of(q.shape[1], *self.regional.latent_size)
        for row, text in self.regional.texts.items():
            # Attend to each description everywhere, then average inside the boxes.
            queries = q[row].expand(len(text), -1, -1)
            k, v = attn.to_k(text), attn.to_v(text)
            results = attend(queries, k, v, attn.heads).unflatten(1, grid)
            masks = self.regional.masks(row, *grid)
            boxes = masks.sum(dim=0)  # per cell
            mean = (results * masks).sum(dim=0) / boxes.clamp(min=1)
            out[row] = torch.where(boxes > 0, mean, prompt[row].unflatten(0, grid)).flatten(0, 1)
        return attn.to_out[1](attn.to_out[0](out))


@torch.no_grad()
def sample_regional(
    regional: RegionalUNet,
    base: BaseModel,
    layouts: Sequence[Layout],
    generator: torch.Generator,
    steps: int,
    guidance: float,
) -> Tensor:
    """Pictures of layouts, (B, 3, H, W) in about -1..1. Same noise as ``sample_layouts``."""
    conditioning = guidance_rows(base, layouts)
    regional.set_layouts(base, layouts)
    noise = unit_noise(base, layouts, generator)
    return base.decode(
        guided(lambda x, t: regional(x, t, conditioning), base.scheduler, noise, steps, guidance)
    )
