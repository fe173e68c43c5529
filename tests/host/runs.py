"""Runs of the host's samplers on the small model, and when two of them are alike."""

from __future__ import annotations

from typing import Any

import comfy.sample
import torch
from torch import Tensor

import dense

SAMPLED = 1e-5  # of the largest value, after a few steps
SIZE = (24, 20)  # latent cells
POSITIVE, NEGATIVE, OTHER = (dense.make_conditioning(seed) for seed in (11, 12, 13))


def sample(
    model: Any,
    *,
    positive: list = POSITIVE,
    negative: list = NEGATIVE,
    cfg: float = 5.0,
    steps: int = 3,
    batch: int = 1,
    size: tuple[int, int] = SIZE,
    sampler: str = "euler",
    scheduler: str = "normal",
    noise: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """What the host's KSampler gives from nothing, unless ``latent`` is given."""
    latent = options.pop("latent", torch.zeros(batch, 4, *size))
    noise = comfy.sample.prepare_noise(latent, 7) if noise is None else noise
    options = {"disable_pbar": True, "seed": 7, **options}
    return comfy.sample.sample(
        model, noise, steps, cfg, sampler, scheduler, positive, negative, latent, **options
    )


def allowed(want: Tensor) -> float:
    return SAMPLED * want.abs().max().item()


def assert_alike(got: Tensor, want: Tensor, plain: Tensor) -> None:
    """Equal but for rounding, where it makes a difference against ``plain``."""
    assert dense.difference(want, plain) > 100 * allowed(want)
    assert dense.difference(got, want) <= allowed(want)


def warnings_of(caplog: Any) -> list[str]:
    """The pack's own messages."""
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("IFAdapter")]
