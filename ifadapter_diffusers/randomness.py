"""Seeded random generators: one reproducible stream per purpose."""

from __future__ import annotations

import torch


def seeded_generator(seed: int, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator with one stream for each seed, sequence of numbers and kind of device."""
    mixed = seed
    for number in numbers:  # step of a linear congruential generator (Knuth's MMIX constants)
        mixed = (mixed * 6364136223846793005 + number + 1442695040888963407) % 2**63
    return torch.Generator(device).manual_seed(mixed)
