"""The detail pass of the nodes IFAdapter Crops and IFAdapter Paste, with the demo's models in diffusers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ifadapter_core.crops.instances import InstanceCrop, cut_instances
from ifadapter_core.crops.paste import paste
from ifadapter_diffusers.adapted_unet import AdaptedUNet
from ifadapter_diffusers.painter import NOISE_ROWS, Painter
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import Redraw, sample_layouts

from ..drawing import Pixels
from ..scene import Figure, Scene


@dataclass(frozen=True)
class DetailPass:
    """Settings, by the names of the nodes' inputs.

    longest: longer side in pixels of the largest figures that are sampled again.
    context, size: of IFAdapter Crops.
    denoise: of the sampler.
    feather: of IFAdapter Paste.
    """

    longest: int
    context: float = 0.15
    size: int = 128
    denoise: float = 0.5
    feather: int = 4

    def takes(self, figure: Figure) -> bool:
        """Whether a figure is sampled again."""
        x0, y0, x1, y1 = figure.box_px
        return max(x1 - x0, y1 - y0) <= self.longest


def redraw_small_figures(
    painter: Painter, pictures: Pixels, scenes: Sequence[Scene], settings: DetailPass
) -> Pixels:
    """Pictures (B, H, W, 3) of scenes with each small figure sampled again at the model's full size."""
    images = [torch.from_numpy(picture).float() / 255 for picture in pictures]
    crops = [
        crop
        for crop in cut_instances(
            images, [scene.layout for scene in scenes], settings.context, settings.size
        ).crops
        if settings.takes(scenes[crop.place.image].figures[_index(crop)])
    ]

    # Crops of one size are sampled together.
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, crop in enumerate(crops):
        by_size[crop.layout.width, crop.layout.height].append(number)
    drawn: dict[int, Tensor] = {}
    for numbers in by_size.values():
        for first in range(0, len(numbers), NOISE_ROWS):
            chunk = numbers[first : first + NOISE_ROWS]
            drawn |= zip(
                chunk, _sample(painter, [crops[number] for number in chunk], chunk[0], settings), strict=True
            )

    pasted = paste(
        images,
        [drawn[number] for number in range(len(crops))],
        [crop.place for crop in crops],
        [crop.mask[0] for crop in crops],
        settings.feather,
    )
    return np.stack([(picture * 255).round().byte().numpy() for picture in pasted.pictures])


def _sample(painter: Painter, crops: Sequence[InstanceCrop], seed: int, settings: DetailPass) -> list[Tensor]:
    """New pictures (h, w, 3) in 0..1 of crops of one size, each with its own layout and prompt."""
    processors = painter.base.unet.attn_processors
    given = torch.cat([crop.picture for crop in crops]).movedim(-1, 1) * 2 - 1
    try:
        pictures = sample_layouts(
            AdaptedUNet(painter.base.unet, painter.adapter),
            painter.base,
            [crop.layout for crop in crops],
            seeded_generator(painter.seed + 1, seed),
            painter.steps,
            painter.guidance,
            prompts=[crop.description for crop in crops],
            redraw=Redraw(given, settings.denoise),
        )
    finally:  # the adapted UNet replaced them
        painter.base.unet.set_attn_processor(processors)
    return list((pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu())


def _index(crop: InstanceCrop) -> int:
    assert crop.place.instance is not None  # crops of instances have one
    return crop.place.instance
