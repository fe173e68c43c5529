"""Sampling runs of the host on the small model, and comparisons of their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

import nodes
import oracle

TOLERANCE = 5e-5  # absolute, for one UNet call; outputs are of order 1
SAMPLED_TOLERANCE = 1e-5  # relative to the largest value, after a few steps
SIZE = (24, 20)  # latent cells
POSITIVE, NEGATIVE, OTHER = (oracle.make_conditioning(seed) for seed in (11, 12, 13))


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
    """Latents (batch, 4, H, W) by the function below the host's KSampler node; option latent: the start."""
    latent = options.pop("latent", torch.zeros(batch, 4, *size))
    noise = comfy.sample.prepare_noise(latent, 7) if noise is None else noise
    options = {"disable_pbar": True, "seed": 7, **options}
    return comfy.sample.sample(
        model, noise, steps, cfg, sampler, scheduler, positive, negative, latent, **options
    )


def ksampler(
    model: Any, *, cfg: float = 7.5, steps: int = 3, batch: int = 1, size: tuple[int, int] = SIZE
) -> Tensor:
    """Latents (batch, 4, H, W) by the host's KSampler node."""
    latent = {"samples": torch.zeros(batch, 4, *size)}
    return nodes.common_ksampler(model, 7, steps, cfg, "euler", "normal", POSITIVE, NEGATIVE, latent)[0][
        "samples"
    ]


def sample_sigmas(guider: Any, sigmas: Sequence[float]) -> Tensor:
    """Latents by a guider of the host at these noise levels."""
    latent = torch.zeros(1, 4, *SIZE)
    noise = comfy.sample.prepare_noise(latent, 7)
    return guider.sample(
        noise, latent, comfy.samplers.sampler_object("euler"), torch.tensor(sigmas), disable_pbar=True, seed=7
    )


def sample_three(guider: Any) -> Tensor:
    """Latents by a guider of the host with three conditionings, the positive one first."""
    guider.set_conds(POSITIVE, NEGATIVE, OTHER)
    guider.set_cfg(5.0, 2.0)
    return sample_sigmas(guider, (14.0, 4.0, 1.0, 0.0))


def cfg_guider(model: Any) -> comfy.samplers.CFGGuider:
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(5.0)
    return guider


def observed(model: Any, see: Callable[[dict], None]) -> Any:
    """A clone that passes the transformer options of every UNet call to a function."""
    clone = model.clone()

    def wrap(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        out = executor(*args, **kwargs)
        see(args[5])
        return out

    clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "test", wrap)
    return clone


def replacements(model: Any) -> dict:
    """The patches in the attn2 slots."""
    """The patches in the attn2 slots."""
    return model.model_options["transformer_options"]["patches_replace"]["attn2"]


def allowed(want: Tensor) -> float:
    """Largest allowed difference of two sampling results."""
    """Largest allowed difference of two sampling results."""
    return SAMPLED_TOLERANCE * want.abs().max().item()


def assert_alike(got: Tensor, want: Tensor, plain: Tensor) -> None:
    """got equals want up to rounding, and want clearly differs from plain."""
    assert oracle.max_difference(want, plain) > 100 * allowed(want)
    assert oracle.max_difference(got, want) <= allowed(want)


def warnings_of(caplog: Any) -> list[str]:
    """The pack's own log messages."""
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("IFAdapter")]
