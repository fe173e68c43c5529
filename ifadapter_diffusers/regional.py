"""A training-free rival: the base model's own cross attention, each local description restricted to its box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ifadapter_core.attention import attend
from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Box, Layout

from .adapted_unet import grid_of
from .base_model import BaseModel, Conditioning
from .sampling import guidance_rows, guided, unit_noise


class RegionalUNet(nn.Module):
    """Cells inside boxes attend to the local descriptions of these boxes in place of the prompt, all cells outside to the prompt.

    Where boxes overlap, what they give is averaged. Takes the UNet's attention processors over for good.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.texts: dict[int, Tensor] = {}  # row -> states of its local descriptions (N, T, D)
        self.boxes: dict[int, list[Box]] = {}  # row -> its boxes
        self._covered: dict[tuple[int, int, int], Tensor] = {}
        self.latent_size = (0, 0)
        unet.set_attn_processor(
            {
                name: _Processor(self) if name.endswith("attn2.processor") else processor
                for name, processor in unet.attn_processors.items()
            }
        )

    def forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        self.latent_size = (latents.shape[-2], latents.shape[-1])
        added = conditioning.added or None
        return self.unet(
            latents.to(self.unet.dtype), timesteps, conditioning.text_states, added_cond_kwargs=added
        ).sample

    def set_layouts(self, base: BaseModel, layouts: Sequence[Layout]) -> None:
        """Layouts of the conditional rows, which come behind as many unconditional ones."""
        rows = {len(layouts) + number: layout for number, layout in enumerate(layouts) if layout.instances}
        self.texts = {
            row: base.condition(layout.local_descriptions, (layout.height, layout.width)).text_states
            for row, layout in rows.items()
        }
        self.boxes = {row: layout.boxes for row, layout in rows.items()}
        self._covered = {}

    def covered(self, row: int, height: int, width: int) -> Tensor:
        """1 in the cells of each box of a row and 0 elsewhere: (N, height, width, 1)."""
        if (row, height, width) not in self._covered:
            covered = torch.zeros(len(self.boxes[row]), height, width, 1)
            for number, box in enumerate(self.boxes[row]):
                cells = cell_range(box, height, width)
                covered[number, cells.rows, cells.columns] = 1
            self._covered[row, height, width] = covered.to(self.texts[row])
        return self._covered[row, height, width]


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
        out = attend(q, attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states), attn.heads)
        rows = out.clone()
        height, width = grid_of(q.shape[1], *self.regional.latent_size)
        for row, text in self.regional.texts.items():
            part = q[row].expand(len(text), -1, -1)
            answers = attend(part, attn.to_k(text), attn.to_v(text), attn.heads).unflatten(1, (height, width))
            covered = self.regional.covered(row, height, width)
            count = covered.sum(dim=0)
            mixed = (answers * covered).sum(dim=0) / count.clamp(min=1)
            rows[row] = torch.where(count > 0, mixed, out[row].unflatten(0, (height, width))).flatten(0, 1)
        return attn.to_out[1](attn.to_out[0](rows))


@torch.no_grad()
def sample_regional(
    regional: RegionalUNet,
    base: BaseModel,
    layouts: Sequence[Layout],
    generator: torch.Generator,
    steps: int,
    guidance: float,
) -> Tensor:
    """Pictures of layouts, (B, 3, H, W), about -1..1; the prompts and the noise are those of ``sample_layouts``."""
    conditioning = guidance_rows(base, layouts)
    regional.set_layouts(base, layouts)
    noise = unit_noise(base, layouts, generator)
    return base.decode(
        guided(lambda x, t: regional(x, t, conditioning), base.scheduler, noise, steps, guidance)
    )
