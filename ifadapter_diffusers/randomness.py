"""Seeded random generators: one stream for each purpose, equal on every run."""

from __future__ import annotations

import torch


def seeded_generator(seed: int, *numbers: int) -> torch.Generator:
    """A generator on the CPU for one purpose: the same seed and numbers give the same stream, on every run."""
    mixed = seed
    for number in numbers:
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)
