"""The training-free baseline: descriptions inside their boxes, the prompt elsewhere."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

import tiny_models
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.base_model import BaseModel
from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.regional import RegionalUNet, sample_regional
from ifadapter_diffusers.sampling import guidance_rows, sample_plain
from tiny_models import sd


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return BaseModel(sd(tmp_path_factory.getbasetemp() / "tokenizer"))


def test_no_boxes_leave_the_plain_model(base: BaseModel) -> None:
    layouts = [Layout(32, 32, (), "a blue square"), Layout(32, 32, (), "one circle and a star")]
    plain = sample_plain(base, layouts, seeded_generator(0), 2, 3.0)
    assert torch.allclose(
        sample_regional(RegionalUNet(base.unet), base, layouts, seeded_generator(0), 2, 3.0), plain, atol=1e-5
    )


def test_a_box_over_the_whole_picture_replaces_the_prompt(base: BaseModel) -> None:
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


def test_overlapping_boxes_are_averaged(base: BaseModel) -> None:
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


def test_cells_outside_boxes_attend_to_the_prompt(base: BaseModel) -> None:
    """In one layer's output: the left half has the box's description, the right half the prompt."""
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


def test_layouts_of_a_batch_do_not_depend_on_each_other(base: BaseModel) -> None:
    layouts = [tiny_models.layout(number, instances) for number, instances in enumerate((2, 0, 3, 1))]
    regional = RegionalUNet(base.unet)
    latents, timesteps = torch.randn(len(layouts), 4, 16, 16), torch.tensor([500])

    def predict(some: list[Layout], cond: torch.Tensor) -> torch.Tensor:
        """Of the conditional rows."""
        regional.set_layouts(base, some)
        rows = torch.cat([torch.zeros_like(cond), cond])
        conditioning = guidance_rows(base, some)
        return regional(rows, timesteps.expand(len(rows)), conditioning)[len(some) :]

    with torch.no_grad():
        together = predict(layouts, latents)
        for number, layout in enumerate(layouts):
            alone = predict([layout], latents[number : number + 1])
            assert torch.allclose(together[number : number + 1], alone, atol=1e-5)
