"""Adding noise and DDIM sampling."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from ifadapter_core.layout import Layout
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.sampling import add_noise, canvas_of, guided
from shapes.models.unet import new_scheduler

SCHEDULERS = {
    "velocity": new_scheduler(),
    "noise": DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
}


def signal_and_noise(scheduler: DDPMScheduler, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """Scales of the picture and of the noise, from the betas: (B, 1, 1, 1) each."""
    alpha_bar = (1 - scheduler.betas.double()).cumprod(0)[timesteps].reshape(-1, 1, 1, 1)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_noisy_latents_and_targets_follow_the_schedule(kind: str) -> None:
    latents = torch.randn(5, 3, 4, 4)
    noisy, timesteps, target = add_noise(SCHEDULERS[kind], latents, seeded_generator(1))
    signal, spread = signal_and_noise(SCHEDULERS[kind], timesteps)
    noise = (noisy - signal * latents) / spread
    assert (noise.double() - torch.randn(latents.shape, generator=seeded_generator(1))).abs().max() < 1e-4
    expected = {"noise": noise, "velocity": signal * noise - spread * latents}[kind]
    assert (target - expected).abs().max() < 1e-4
    assert len(set(timesteps.tolist())) > 1
    assert timesteps.min() >= 0
    assert timesteps.max() < 1000


def test_timesteps_are_uniform_or_logit_normal() -> None:
    latents = torch.zeros(4000, 1, 1, 1)
    uniform, logit_normal = (
        add_noise(new_scheduler(), latents, seeded_generator(2), at)[1].double() / 1000 for at in (None, -0.3)
    )
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.02)
    logits = (logit_normal / (1 - logit_normal)).clamp(1e-3, 1e3).log()
    assert logits.median().item() == pytest.approx(-0.3, abs=0.06)
    # One standard deviation above the mean.
    assert (logits < 0.7).double().mean().item() == pytest.approx(0.841, abs=0.02)


def test_the_demos_last_timestep_is_pure_noise() -> None:
    assert signal_and_noise(new_scheduler(), torch.tensor([999]))[0].item() < 1e-6


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_sampling_with_a_perfect_denoiser_gives_the_picture(kind: str) -> None:
    scheduler, picture = SCHEDULERS[kind], torch.randn(2, 3, 4, 4)

    def denoise(latents: Tensor, timesteps: Tensor) -> Tensor:
        signal, spread = (part.float() for part in signal_and_noise(scheduler, timesteps))
        twice = torch.cat([picture, picture])
        noise = (latents - signal * twice) / spread
        return {"noise": noise, "velocity": signal * noise - spread * twice}[kind]

    out = guided(denoise, scheduler, torch.randn(2, 3, 4, 4), steps=8, guidance=3.0)
    # This schedule's last timestep is not pure noise.
    assert (out - picture).abs().max() < (1e-3 if kind == "velocity" else 0.2)


def test_guidance_extrapolates_from_unconditional_to_conditional() -> None:
    def denoise(latents: Tensor, timesteps: Tensor) -> Tensor:
        rows = len(latents) // 2
        return torch.cat([torch.full_like(latents[:rows], 1.0), torch.full_like(latents[rows:], 3.0)])

    noise = torch.randn(2, 3, 4, 4)
    constant = {
        value: guided(lambda x, t, v=value: torch.full_like(x, v), new_scheduler(), noise, 5, 1.0)
        for value in (3.0, 7.0)
    }
    assert torch.allclose(guided(denoise, new_scheduler(), noise, 5, 1.0), constant[3.0], atol=1e-4)
    # 1 + 3 * (3 - 1)
    assert torch.allclose(guided(denoise, new_scheduler(), noise, 5, 3.0), constant[7.0], atol=1e-4)


def test_layouts_of_different_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        canvas_of([Layout(64, 64), Layout(64, 32)])
