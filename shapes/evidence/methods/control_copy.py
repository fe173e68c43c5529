"""A ControlNet: a copy of the UNet's encoder, fed with the layout drawn in colours.

Zhang et al. 2023, by diffusers' ``ControlNetModel``: the copy's outputs enter the frozen UNet through
convolutions that start at zero. The layout's picture has each box filled with the main colour of its figure,
the later box in front. Shapes, patterns and pattern colours are in the prompt only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_diffusers.painter import Method, Painter
from ifadapter_diffusers.sampling import canvas_of, guidance_rows, guided, unit_noise

from ...descriptions import read_description
from ...models.slots import covered_cells
from ...scene import COLOURS

GREY = 0.5  # of the picture outside boxes, 0..1


class ControlPainter(Painter):
    """A painter with a ControlNet beside the adapter, which it does not use."""

    copy: ControlNetModel


def layout_pictures(boxes: Tensor, present: Tensor, colours: Tensor, size: int) -> Tensor:
    """Layouts drawn in colours: (B, 3, size, size) in 0..1.

    boxes: (B, S, 4) x0 y0 x1 y1 in 0..1, from back to front. present: bool (B, S). colours: (B, S, 3)
        in 0..1.
    """
    covered = (covered_cells(boxes, size, size) & present[..., None]).unflatten(2, (size, size))
    pictures = torch.full((len(boxes), 3, size, size), GREY, device=boxes.device)
    for slot in range(boxes.shape[1]):
        pictures = torch.where(covered[:, slot, None], colours[:, slot, :, None, None], pictures)
    return pictures


def description_colours(descriptions: Sequence[str]) -> Tensor:
    """The main colour that each description names: (D, 3) in 0..1; grey for one of no figure."""
    found = [read_description(text) for text in descriptions]
    rows = [(GREY * 255,) * 3 if one is None else COLOURS[one.colour] for one in found]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 3) / 255


def controlled(
    unet: Any, copy: ControlNetModel, latents: Tensor, timesteps: Tensor, states: Tensor, pictures: Tensor
) -> Tensor:
    """The UNet's prediction (B, C, h, w) with the copy's outputs added.

    states: (B, T, D) of the text. pictures: (B, 3, H, W), see ``layout_pictures``.
    """
    down, middle = copy(latents, timesteps, states, controlnet_cond=pictures, return_dict=False)
    return unet(
        latents,
        timesteps,
        states,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample


@torch.no_grad()
def paint_controlled(painter: Painter, layouts: Sequence[Layout], noise: Tensor) -> Tensor:
    """From prompts with all descriptions; the unconditional rows see the layout too, as in diffusers."""
    assert isinstance(painter, ControlPainter)
    base, size = painter.base, canvas_of(layouts)[0]
    conditioning = guidance_rows(base, layouts)
    slots = max(len(layout.instances) for layout in layouts)
    boxes, present = torch.zeros(len(layouts), slots, 4), torch.zeros(len(layouts), slots, dtype=torch.bool)
    colours = torch.zeros(len(layouts), slots, 3)
    for row, layout in enumerate(layouts):
        count = len(layout.instances)
        boxes[row, :count] = torch.tensor(layout.boxes).reshape(-1, 4)
        present[row, :count] = True
        colours[row, :count] = description_colours(layout.local_descriptions)
    pictures = layout_pictures(boxes, present, colours, size).repeat(2, 1, 1, 1).to(base.device)

    def denoise(latents: Tensor, timesteps: Tensor) -> Tensor:
        states = conditioning.text_states
        return controlled(base.unet, painter.copy, latents, timesteps, states, pictures)

    start = unit_noise(base, layouts, noise)
    return base.decode(guided(denoise, base.scheduler, start, painter.steps, painter.guidance))


CONTROL = Method("control", "ControlNet", paint_controlled)
