"""The adapter's loss: noise, box weights, condition dropout, pictures without instances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import training.objective.denoising
from ifadapter_core.geometry import cell_range
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_diffusers.adapted_unet import RowGroup
from ifadapter_diffusers.base_model import Conditioning
from ifadapter_diffusers.randomness import seeded_generator
from tiny_models import SIZE, Batches, adapter_stage, gradients, layout, sd, sdxl, set_alpha
from training.adapter_stage import AdapterStage
from training.config import AdapterLoss, LoopConfig
from training.objective.denoising import LayoutBatch, training_groups
from training.objective.weights import box_weights

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = {"sd": sd, "sdxl": sdxl}
CONFIG = LoopConfig(
    steps=4, learning_rate=1e-3, weight_decay=0.0, ema_decay=0.9, save_every=100, sample_every=100
)


@pytest.mark.parametrize("logit_mean", [None, 0.3])
def test_an_inactive_adapter_has_the_base_models_own_loss(
    stage: AdapterStage, logit_mean: float | None
) -> None:
    set_alpha(stage.adapter, 0.0)
    stage.objective.loss = AdapterLoss(drop_local=0.0, drop_global=0.0, middle=logit_mean)
    batch = Batches(3)[4]
    got = stage.objective(batch, seeded_generator(5))
    randomness = seeded_generator(5)
    torch.rand(2, 3, generator=randomness)
    noise = torch.randn(3, 4, 16, 16, generator=randomness)
    if logit_mean is None:
        timesteps = torch.randint(1000, (3,), generator=randomness)
    else:
        timesteps = (torch.randn(3, generator=randomness) + logit_mean).sigmoid().mul(1000).long()
    conditioning = stage.base.condition([part.caption for part in batch.layouts], (SIZE, SIZE))
    noisy = stage.base.scheduler.add_noise(batch.latents, noise, timesteps)
    assert torch.isclose(
        got, (stage.base.predict(noisy, timesteps, conditioning) - noise).square().mean(), rtol=1e-5
    )


def test_pixels_have_the_loss_of_their_latents(stage: AdapterStage) -> None:
    layouts, images = [layout(0), layout(1)], torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    latents = stage.base.encode(images)
    by_images = stage.objective(LayoutBatch(layouts, images=images), seeded_generator(0))
    assert torch.equal(by_images, stage.objective(LayoutBatch(layouts, latents=latents), seeded_generator(0)))


@pytest.mark.parametrize("inside", [1.0, 2.0, 5.0])
def test_the_loss_inside_boxes_has_the_box_weight(words: Path, inside: float) -> None:
    """With error 1 inside the boxes and 0 elsewhere, the loss is the boxes' share of the weights."""
    stage = adapter_stage(words, AdapterLoss(box_weight=inside, noises=2))
    batch = Batches(3)[1]
    covered = box_weights(batch.layouts, 16, 16, 0.0) == 0
    wrong = covered.repeat_interleave(2, dim=0)[:, None].float()
    noise = Recorder(lambda latents, *_: expected_noise(len(latents), 3) + wrong)
    stage.objective.adapted = noise.wrap(stage.objective.adapted)
    loss = stage.objective(batch, seeded_generator(6))
    cells = covered.sum()
    assert torch.isclose(loss, inside * cells / (inside * cells + (~covered).sum()), rtol=1e-5)


def expected_noise(rows: int, pictures: int) -> Tensor:
    randomness = seeded_generator(6)
    torch.rand(2, pictures, generator=randomness)
    return torch.randn(rows, 4, 16, 16, generator=randomness)


def test_box_weights_cover_the_cells_of_cell_range() -> None:
    boxes = (Box(0.1, 0.0, 0.4, 0.5), Box(0.3, 0.3, 1.0, 0.9))
    weights = box_weights(
        [Layout(64, 96, tuple(Instance(box, "a") for box in boxes)), Layout(64, 96)], 12, 8, 3.0
    )
    expected = torch.ones(2, 12, 8)
    for box in boxes:
        cells = cell_range(box, 12, 8)
        expected[0, cells.y0 : cells.y1, cells.x0 : cells.x1] = 3
    assert torch.equal(weights, expected)


def test_each_picture_has_several_noises_in_adjacent_rows(stage: AdapterStage) -> None:
    stage.objective.loss = AdapterLoss(noises=3, drop_local=0.0, drop_global=0.0)
    recorder = Recorder(lambda latents, *_: torch.zeros_like(latents))
    stage.objective.adapted = recorder.wrap(stage.objective.adapted)
    batch = Batches(2)[0]
    stage.objective(batch, seeded_generator(0))
    latents, timesteps, conditioning, groups = recorder.calls[0]
    assert latents.shape[0] == len(timesteps) == len(conditioning.text_states) == 6
    assert len({float(row.sum()) for row in latents}) == 6
    assert len(set(timesteps.tolist())) > 2
    captions = stage.base.condition([part.caption for part in batch.layouts], (SIZE, SIZE))
    assert torch.equal(conditioning.text_states, captions.text_states[[0, 0, 0, 1, 1, 1]])
    assert all(
        torch.equal(value, captions.added[key][[0, 0, 0, 1, 1, 1]])
        for key, value in conditioning.added.items()
    )
    assert [group.rows for group in groups] == [(0, 1, 2), (3, 4, 5)]
    assert [group.boxes.tolist() for group in groups] == [
        torch.tensor(part.boxes).tolist() for part in batch.layouts
    ]
    assert all(torch.equal(group.tokens[0], other) for group in groups for other in group.tokens)


class Recorder:
    """A mock of the adapted UNet that records its arguments."""

    def __init__(self, answer: Callable[..., Tensor]) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def wrap(self, adapted: nn.Module) -> nn.Module:
        recording = nn.Module()
        recording.adapter = adapted.adapter
        recording.forward = self
        return recording

    def __call__(self, *given: Any) -> Tensor:
        self.calls.append(given)
        return self.answer(*given)


def test_dropped_local_descriptions_become_null_tokens_with_the_same_boxes(stage: AdapterStage) -> None:
    layouts = [layout(2), layout(1), layout(5)]
    groups = training_groups(stage.adapter, stage.base, layouts, [False, True, False], copies=1)
    for number, (part, group) in enumerate(zip(layouts, groups, strict=True)):
        phrases = stage.base.embed_phrases(part.local_descriptions, (-2, -4, -6))
        boxes = torch.tensor(part.boxes)
        tokens = stage.adapter.encode_instances(
            phrases.phrase_embeds, phrases.attention_mask, phrases.eot_embeds, boxes
        )
        assert torch.allclose(group.tokens[0], tokens.uncond if number == 1 else tokens.cond, atol=1e-5)
        assert torch.equal(group.boxes, boxes)
        assert group.rows == (number,)
        assert group.strengths == (1.0,) * len(boxes)


@pytest.mark.parametrize(("local", "globally"), [(0.15, 0.3), (0.0, 0.0), (1.0, 1.0)])
def test_dropout_rates_of_captions_and_local_descriptions(
    words: Path, monkeypatch: pytest.MonkeyPatch, local: float, globally: float
) -> None:
    stage = adapter_stage(words, AdapterLoss(drop_local=local, drop_global=globally))
    stage.objective.adapted = Recorder(lambda latents, *_: latents).wrap(stage.objective.adapted)
    captions: list[str] = []
    dropped: list[bool] = []

    def condition(texts: list[str], size: tuple[int, int], sizes: None) -> Conditioning:
        captions.extend(texts)
        return Conditioning(torch.zeros(len(texts), 1, 1))

    def groups(adapter: Any, base: Any, layouts: Any, drops: list[bool], *_: Any) -> list[RowGroup]:
        dropped.extend(drops)
        return [RowGroup((0,), torch.zeros(1, 1, 7, 32), torch.zeros(1, 4), (1.0,))]

    monkeypatch.setattr(stage.base, "condition", condition)
    monkeypatch.setattr(training.objective.denoising, "training_groups", groups)
    batch = LayoutBatch([layout(0)] * 50, torch.zeros(50, 4, 1, 1))
    for number in range(80):
        stage.objective(batch, seeded_generator(1, number))
    lost = [caption == "" for caption in captions]
    assert set(captions) <= {"", layout(0).caption}
    assert sum(dropped) / 4000 == pytest.approx(local, abs=0.02 * (0 < local < 1))
    assert sum(lost) / 4000 == pytest.approx(globally, abs=0.025 * (0 < globally < 1))
    both = sum(a and b for a, b in zip(dropped, lost, strict=True)) / 4000
    assert both == pytest.approx(local * globally, abs=0.015 * (0 < local < 1))  # independent


def test_the_defaults_are_the_papers() -> None:
    assert AdapterLoss() == AdapterLoss(drop_local=0.15, drop_global=0.3, box_weight=1.0, noises=1)
    assert (LoopConfig(steps=1).learning_rate, LoopConfig(steps=1).schedule) == (1e-4, "constant")


def test_a_picture_without_instances_gets_the_base_models_prediction(stage: AdapterStage) -> None:
    batch = Batches(3)[0]
    layouts = [batch.layouts[0], layout(1, 0), batch.layouts[2]]
    loss = stage.objective(LayoutBatch(layouts, batch.latents), seeded_generator(0))
    groups = training_groups(stage.adapter, stage.base, layouts, [False] * 3, 1)
    given = (batch.latents, torch.tensor([5, 500, 900]), stage.base.condition(["a", "b", "c"], (SIZE, SIZE)))
    assert torch.isfinite(loss)
    assert torch.allclose(
        stage.objective.adapted(*given, groups)[1], stage.base.predict(*given)[1], atol=1e-6
    )


def test_a_batch_without_instances_gives_every_weight_a_zero_gradient(stage: AdapterStage) -> None:
    """DDP waits for a gradient of every weight."""
    batch = LayoutBatch([layout(0, 0), layout(1, 0)], Batches(2)[0].latents)
    found = gradients(stage, batch)
    assert found.keys() == dict(stage.adapter.named_parameters()).keys()
    assert not any(gradient.any() for gradient in found.values())
