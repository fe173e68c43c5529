"""Noise onto latents and off them again, with and without rivals of the adapter."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.regional import RegionalUNet, sample_regional
from ifadapter_diffusers.sampling import add_noise, canvas_of, guided, sample_plain
from shapes.models.unet import new_scheduler
from tiny_models import sd

SCHEDULERS = {
    "velocity": new_scheduler(),
    "noise": DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
}


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return BaseModel(sd(tmp_path_factory.getbasetemp() / "tokenizer"))


def shares(scheduler: DDPMScheduler, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the picture and of the noise there is, from the betas: (B, 1, 1, 1) each."""
    kept = (1 - scheduler.betas.double()).cumprod(0)[timesteps].reshape(-1, 1, 1, 1)
    return kept.sqrt(), (1 - kept).sqrt()


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_noisy_latents_and_targets_are_those_of_the_papers(kind: str) -> None:
    latents = torch.randn(5, 3, 4, 4)
    noisy, timesteps, target = add_noise(SCHEDULERS[kind], latents, seeded_generator(1))
    signal, spread = shares(SCHEDULERS[kind], timesteps)
    noise = (noisy - signal * latents) / spread
    assert (noise.double() - torch.randn(latents.shape, generator=seeded_generator(1))).abs().max() < 1e-4
    expected = {"noise": noise, "velocity": signal * noise - spread * latents}[kind]
    assert (target - expected).abs().max() < 1e-4
    assert len(set(timesteps.tolist())) > 1
    assert timesteps.min() >= 0
    assert timesteps.max() < 1000


def test_timesteps_can_be_drawn_from_the_middle() -> None:
    latents = torch.zeros(4000, 1, 1, 1)
    uniform, middle = (
        add_noise(new_scheduler(), latents, seeded_generator(2), at)[1].double() / 1000 for at in (None, -0.3)
    )
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.02)
    assert uniform.std().item() == pytest.approx(12**-0.5, abs=0.02)
    logits = (middle / (1 - middle)).clamp(1e-3, 1e3).log()
    assert logits.median().item() == pytest.approx(-0.3, abs=0.06)
    assert (logits < 0.7).double().mean().item() == pytest.approx(
        0.841, abs=0.02
    )  # one standard deviation above the middle


def test_the_last_timestep_of_the_demo_is_nothing_but_noise() -> None:
    assert shares(new_scheduler(), torch.tensor([999]))[0].item() < 1e-6


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_one_who_knows_the_picture_gets_it_back(kind: str) -> None:
    scheduler, picture = SCHEDULERS[kind], torch.randn(2, 3, 4, 4)

    def denoise(latents: Tensor, timesteps: Tensor) -> Tensor:
        signal, spread = (part.float() for part in shares(scheduler, timesteps))
        twice = torch.cat([picture, picture])
        noise = (latents - signal * twice) / spread
        return {"noise": noise, "velocity": signal * noise - spread * twice}[kind]

    out = guided(denoise, scheduler, torch.randn(2, 3, 4, 4), steps=8, guidance=3.0)
    assert (out - picture).abs().max() < (
        1e-3 if kind == "velocity" else 0.2
    )  # some signal is left in the noise model's last timestep


def test_guidance_goes_from_the_first_rows_beyond_the_second() -> None:
    def denoise(latents: Tensor, timesteps: Tensor) -> Tensor:
        rows = len(latents) // 2
        return torch.cat([torch.full_like(latents[:rows], 1.0), torch.full_like(latents[rows:], 3.0)])

    noise = torch.randn(2, 3, 4, 4)
    constant = {
        value: guided(lambda x, t, v=value: torch.full_like(x, v), new_scheduler(), noise, 5, 1.0)
        for value in (3.0, 7.0)
    }
    assert torch.allclose(guided(denoise, new_scheduler(), noise, 5, 1.0), constant[3.0], atol=1e-4)
    assert torch.allclose(
        guided(denoise, new_scheduler(), noise, 5, 3.0), constant[7.0], atol=1e-4
    )  # 1 + 3 * (3 - 1)


def test_layouts_of_one_batch_have_one_size() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        canvas_of([Layout(64, 64), Layout(64, 32)])


def test_a_region_without_boxes_is_the_plain_model(base: BaseModel) -> None:
    layouts = [Layout(32, 32, (), "a blue square"), Layout(32, 32, (), "one circle and a star")]
    plain = sample_plain(base, layouts, seeded_generator(0), 2, 3.0)
    assert torch.allclose(
        sample_regional(RegionalUNet(base.unet), base, layouts, seeded_generator(0), 2, 3.0), plain, atol=1e-5
    )


def test_a_region_over_all_of_the_picture_takes_the_place_of_the_prompt(base: BaseModel) -> None:
    words = "a plain black triangle"
    latents, timesteps = torch.randn(4, 4, 16, 16), torch.tensor([500] * 4)
    whole = Layout(32, 32, (Instance(Box(0.0, 0.0, 1.0, 1.0), words),), "a blue square")
    elsewhere = Layout(32, 32, (), "a blue square")
    with torch.no_grad():
        expected = base.predict(
            latents, timesteps, base.condition(["", "", words, elsewhere.prompt], (32, 32))
        )
        regional = RegionalUNet(base.unet)
        regional.set_layouts(base, [whole, elsewhere])
        conditioning = base.condition(["", "", whole.prompt, elsewhere.prompt], (32, 32))
        assert torch.allclose(regional(latents, timesteps, conditioning), expected, atol=1e-5)


def test_where_boxes_overlap_their_answers_are_averaged(base: BaseModel) -> None:
    box = Box(0.0, 0.0, 1.0, 1.0)
    latents, timesteps = torch.randn(2, 4, 16, 16), torch.tensor([500] * 2)
    twice = Layout(32, 32, (Instance(box, "a blue square"), Instance(box, "a blue square")), "")
    mixed = Layout(32, 32, (Instance(box, "a blue square"), Instance(box, "a plain black triangle")), "")
    with torch.no_grad():
        conditioning = base.condition(["", ""], (32, 32))
        once = base.predict(latents, timesteps, base.condition(["", "a blue square"], (32, 32)))
        regional = RegionalUNet(base.unet)
        regional.set_layouts(base, [twice])
        assert torch.allclose(regional(latents, timesteps, conditioning), once, atol=1e-5)
        regional.set_layouts(base, [mixed])
        assert (regional(latents, timesteps, conditioning)[1] - once[1]).abs().max() > 1e-4


def test_cells_outside_all_boxes_keep_the_prompt(base: BaseModel) -> None:
    """The left half attends to the box's words only, the right half to the prompt only: seen in the layer's own answer."""
    attention = next(module for name, module in base.unet.named_modules() if name.endswith("attn2"))
    regional = RegionalUNet(base.unet)
    regional.latent_size = (16, 16)
    regional.set_layouts(
        base, [Layout(32, 32, (Instance(Box(0.0, 0.0, 0.5, 1.0), "a blue square"),), "one circle and a star")]
    )
    with torch.no_grad():
        states = base.condition(["", "one circle and a star", "a blue square"], (32, 32)).text_states
        hidden = torch.randn(1, 256, attention.to_q.in_features)
        rows = torch.cat([hidden, hidden])
        answer = attention(rows, encoder_hidden_states=states[:2])
        base.unet.set_attn_processor(AttnProcessor2_0())
        prompt, words = (
            attention(hidden, encoder_hidden_states=states[row : row + 1]).reshape(16, 16, -1)
            for row in (1, 2)
        )
    right, left = answer[1].reshape(16, 16, -1)[:, 8:], answer[1].reshape(16, 16, -1)[:, :8]
    assert torch.allclose(right, prompt[:, 8:], atol=1e-5)
    assert torch.allclose(left, words[:, :8], atol=1e-5)
    assert not torch.allclose(prompt, words, atol=1e-3)
