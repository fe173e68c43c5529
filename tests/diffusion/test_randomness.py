"""Seeded generators: reproducible, and a stream for each purpose."""

from __future__ import annotations

import torch

from ifadapter_diffusers.randomness import seeded_generator


def test_different_seeds_and_numbers_give_different_streams() -> None:
    streams = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0)]
    first = {tuple(torch.rand(4, generator=seeded_generator(*numbers)).tolist()) for numbers in streams}
    assert len(first) == len(streams)
    assert torch.equal(
        torch.rand(4, generator=seeded_generator(3, 4)), torch.rand(4, generator=seeded_generator(3, 4))
    )
