"""Weights of the noise levels, the noise offset, and the loss by band of timesteps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler

from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import add_noise
from tiny_models import Batches, adapter_stage
from training.config import AdapterLoss
from training.objective.bands import BANDS, BandLosses, band_means
from training.objective.weights import snr_weights

NO_DROPS: dict[str, Any] = {"drop_local": 0.0, "drop_global": 0.0}
TIMESTEPS = torch.tensor([0, 100, 500, 999])


def signal_to_noise(scheduler: DDPMScheduler) -> torch.Tensor:
    kept = scheduler.alphas_cumprod[TIMESTEPS]
    return kept / (1 - kept)


def test_min_snr_weights_bound_the_levels_with_little_noise() -> None:
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    snr = signal_to_noise(scheduler)
    weights = snr_weights(scheduler, TIMESTEPS, 5.0)
    assert snr[0] > 5 > snr[2]
    assert torch.allclose(weights, snr.clamp(max=5.0) / snr)
    assert weights[2:].tolist() == [1.0, 1.0]
    assert snr_weights(scheduler, TIMESTEPS, None).tolist() == [1.0] * 4


def test_min_snr_weights_of_a_velocity() -> None:
    """With zero terminal SNR the last timestep has no signal."""
    scheduler = DDPMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    snr = signal_to_noise(scheduler)
    weights = snr_weights(scheduler, TIMESTEPS, 5.0)
    assert torch.allclose(weights, snr.clamp(max=5.0) / (snr + 1))
    assert weights.isfinite().all()
    assert weights[-1] < 1e-4


def test_the_loss_has_the_weights_of_its_noise_levels(words: Path) -> None:
    """Of one picture with one noise, the loss is the plain loss times the weight."""
    losses, stage = {}, adapter_stage(words)
    for gamma in (None, 0.01):
        stage.objective.loss = AdapterLoss(snr_gamma=gamma, **NO_DROPS)
        losses[gamma] = stage.objective(Batches(1)[0], seeded_generator(5))
    randomness = seeded_generator(5)
    torch.rand(2, 1, generator=randomness)
    _, timesteps, _ = add_noise(stage.base.scheduler, torch.zeros(1, 4, 16, 16), randomness)
    weight = snr_weights(stage.base.scheduler, timesteps, 0.01)
    assert weight < 0.9
    assert torch.allclose(losses[0.01], losses[None] * weight[0])


def test_the_noise_offset_shifts_whole_channels() -> None:
    scheduler, latents = DDPMScheduler(), torch.zeros(2, 4, 8, 8)
    plain, shifted = (add_noise(scheduler, latents, seeded_generator(1), offset=part) for part in (0.0, 0.5))
    assert torch.equal(plain[1], shifted[1])  # the same timesteps
    difference = shifted[2] - plain[2]
    assert difference.std(dim=(2, 3)).max() < 1e-6
    assert difference[:, :, 0, 0].unique().numel() == 8
    spread = torch.cat(
        [
            add_noise(scheduler, latents, seeded_generator(2, number), offset=0.5)[2].mean(dim=(2, 3))
            for number in range(200)
        ]
    ).std()
    assert spread == pytest.approx((0.5**2 + 1 / 64) ** 0.5, rel=0.1)


def test_losses_are_averaged_by_band() -> None:
    bands = BandLosses(1000)
    bands.add(torch.tensor([0, 249, 250, 999]), torch.tensor([1.0, 3.0, 5.0, torch.nan]))
    bands.add(torch.tensor([300]), torch.tensor([7.0]))
    assert bands.names() == ["t000-249", "t250-499", "t500-749", "t750-999"]
    assert band_means(bands.take(), bands.names()) == {"t000-249": 2.0, "t250-499": 6.0}
    assert bands.take().sum() == 0  # each loss counts once
    assert len(bands.names()) == BANDS


def test_a_step_adds_its_losses_to_the_bands(words: Path) -> None:
    stage = adapter_stage(words, AdapterLoss(noises=3, snr_gamma=1.0, **NO_DROPS))
    stage.objective(Batches(2)[0], seeded_generator(0))
    sums = stage.objective.bands.take()
    assert sums[1].sum() == 6  # rows
    stage.objective.loss = AdapterLoss(noises=3, **NO_DROPS)
    loss = stage.objective(Batches(2)[0], seeded_generator(0))
    assert torch.isclose(sums[0].sum() / 6, loss)  # without the weights of the noise levels
