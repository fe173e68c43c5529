"""The demo's base model: its training data, and gradients in all weights."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from ifadapter_diffusers.randomness import seeded_generator
from shapes.dataset import Pictures
from shapes.models.stages import LayoutBatches
from shapes.models.text_encoder import new_text_encoder
from shapes.models.unet import (
    CAPTION_PARTS,
    Denoising,
    LatentBatches,
    UNetStage,
    caption_kinds,
    caption_of,
    new_scheduler,
    new_unet,
)
from shapes.models.vae import thumbnails
from shapes.sampler import HELD_OUT, World, sample_scene
from tiny_models import tokenizer

WORLD = World(shapes=("circle",), instances=(1, 2))


def test_batches_are_consecutive_and_wrap_around() -> None:
    batches = LatentBatches(WORLD, count=5, size=2)
    samples = [Pictures(WORLD)[number] for number in range(5)]
    for number, expected in enumerate([(0, 1), (2, 3), (4, 0), (1, 2)]):
        latents, scenes = batches[number]
        assert scenes == [samples[index][1] for index in expected]
        assert torch.equal(latents, torch.stack([thumbnails(samples[index][0]) for index in expected]))


def test_data_loader_processes_that_are_spawned_get_the_batches_without_the_cache() -> None:
    batches = LayoutBatches(LatentBatches(WORLD, count=3, size=2))
    fresh = pickle.dumps(batches)
    batch = batches[1]
    assert pickle.dumps(batches) == fresh
    other = pickle.loads(fresh)[1]
    assert other.layouts == batch.layouts
    assert torch.equal(other.latents, batch.latents)


def test_kinds_of_captions_have_their_probabilities() -> None:
    kinds = caption_kinds(4000, seeded_generator(0))
    assert {kind: kinds.count(kind) / 4000 for kind in CAPTION_PARTS} == pytest.approx(
        CAPTION_PARTS, abs=0.03
    )


def test_contents_of_each_kind_of_caption() -> None:
    scenes = (sample_scene(World(), index) for index in HELD_OUT)
    scene = next(scene for scene in scenes if len(scene.figures) == 3)
    texts = {kind: caption_of(scene, kind) for kind in CAPTION_PARTS}
    assert texts["none"] == ""
    assert texts["global"] == scene.caption
    for kind in ("full", "placed"):
        assert all(figure.local_description in texts[kind] for figure in scene.figures)
    assert not any(figure.local_description in texts["global"] for figure in scene.figures)


def test_a_sheet_has_pictures_of_the_worlds_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shapes.models.unet.STEPS", 1)
    monkeypatch.setattr("shapes.models.unet.SHEET_PICTURES", 8)
    world = World(size=96, instances=(1, 2))
    stage = UNetStage(world, tokenizer(tmp_path), LatentBatches(world, 2, 2), None)
    with torch.no_grad():
        sheet = stage.sheet(seeded_generator(0))
    rows, columns = sheet.height // world.size, sheet.width // world.size
    assert (rows, columns) == (2, 8)
    stage.objective(stage.batches[0], seeded_generator(0)).backward()


def test_unet_and_text_encoder_train_jointly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    words = tokenizer(tmp_path)
    objective = Denoising(new_unet(), new_scheduler(), new_text_encoder(words), words)
    loss = objective(LatentBatches(WORLD, 2, 2)[0], seeded_generator(0))
    loss.backward()
    for part in (objective.unet, objective.text_encoder):
        untrained = [
            name
            for name, parameter in part.named_parameters()
            if parameter.grad is None or not parameter.grad.any()
        ]
        assert not untrained
