"""Held-out latents without files."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import layout
from training.objective.denoising import LayoutBatch


class HeldOutLatents:
    """Five random latents with layouts, the third without instances."""

    def __len__(self) -> int:
        return 5

    def batch(self, numbers: Sequence[int]) -> LayoutBatch:
        latents = torch.stack([torch.randn(4, 16, 16, generator=seeded_generator(8, n)) for n in numbers])
        return LayoutBatch([layout(number, 0 if number == 2 else None) for number in numbers], latents)
