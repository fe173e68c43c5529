"""The pool: drawn scenes as arrays and as batches on a device."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from ifadapter_diffusers.randomness import seeded_generator
from ifadapter_diffusers.text import token_ids
from shapes.dataset import to_tensor
from shapes.drawing import draw
from shapes.models.config import PoolConfig
from shapes.models.pool import Pool, caption_texts
from shapes.models.pool_batches import PixelBatches, PoolBatches, PoolTensors, Shuffled
from shapes.models.pool_stages import chosen_captions
from shapes.models.vae import thumbnails
from shapes.sampler import TRAINING, World, sample_scene
from shapes.scene import Scene
from tiny_models import tokenizer

WORLD = World(shapes=("circle", "square"), instances=(1, 3))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


def test_arrays_hold_the_scenes_of_training(words: Path) -> None:
    pool = Pool(WORLD, PoolConfig(6, 4), tokenizer(words))
    pixels = pool.wait_for_pixels()
    arrays, descriptions, chosen = pool.wait()
    scenes = [sample_scene(WORLD, index) for index in TRAINING[:6]]
    assert np.array_equal(pixels, np.stack([draw(scene) for scene in scenes[:4]]))
    texts = [text for scene in scenes for text in caption_texts(scene)]
    ids = token_ids(tokenizer(words), texts).reshape(6, 3, -1)
    assert np.array_equal(arrays.captions, ids.numpy())
    for row, scene in enumerate(scenes):
        count = len(scene.figures)
        assert arrays.counts[row] == count
        assert arrays.boxes[row, :count].tolist() == [list(box) for box in scene.layout.boxes]
        assert not arrays.boxes[row, count:].any()
        given = [descriptions[number] for number in chosen[row, :count]]
        assert given == list(scene.layout.local_descriptions)


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are forked")
def test_processes_draw_the_same_pool(words: Path) -> None:
    config = {"pictures": 600, "pixels": 300, "crowded": 0.5, "crowding": 3}
    single = Pool(WORLD, PoolConfig(**config), tokenizer(words))  # type: ignore[arg-type]
    several = Pool(WORLD, PoolConfig(**config, processes=2), tokenizer(words))  # type: ignore[arg-type]
    several.wait_for_pixels()
    for one, other in zip(single.wait()[0], several.wait()[0], strict=True):
        assert np.array_equal(one, other)
    assert single.wait()[1] == several.wait()[1]
    several.close()


def test_part_of_the_scenes_is_crowded(words: Path) -> None:
    crowded = World(**{**vars(WORLD), "crowding": 4})
    arrays = Pool(WORLD, PoolConfig(4, 4, crowded=0.5, crowding=4), tokenizer(words)).wait()[0]
    for row in range(4):
        scene = sample_scene(crowded if row % 2 else WORLD, TRAINING[row])
        assert np.array_equal(arrays.pixels[row], draw(scene))


def test_a_scene_without_room_is_replaced(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(world: World, index: int) -> Scene:
        if index == TRAINING[1]:
            raise ValueError("No room for 3 figures.")
        return sample_scene(world, index)

    monkeypatch.setattr("shapes.models.pool.sample_scene", sample)
    pixels = Pool(WORLD, PoolConfig(2, 2), tokenizer(words)).wait_for_pixels()
    assert np.array_equal(pixels[1], draw(sample_scene(WORLD, TRAINING[3])))


def test_batches_are_pictures_and_thumbnails(words: Path) -> None:
    pool = Pool(WORLD, PoolConfig(4, 4), tokenizer(words))
    pictures = torch.stack([to_tensor(sample_scene(WORLD, index)) for index in TRAINING[:4]])
    order = Shuffled(4, 2, 0, CPU)
    images = PixelBatches(pool.wait_for_pixels(), 2, 0, CPU)[1].images
    assert torch.allclose(images, pictures[order[1]], atol=1e-6)
    batch = PoolBatches(PoolTensors.from_arrays(*pool.wait(), CPU), 2, 0)[1]
    assert torch.allclose(batch.latents, thumbnails(pictures[order[1]]), atol=1e-5)
    counts = [len(sample_scene(WORLD, TRAINING[number]).figures) for number in order[1].tolist()]
    assert batch.present.sum(dim=1).tolist() == counts


def test_an_epoch_has_each_number_once_in_an_order_of_its_own() -> None:
    numbers = Shuffled(10, 3, 0, CPU)
    first, second = ([numbers[batch].tolist() for batch in range(at, at + 3)] for at in (0, 3))
    for epoch in (first, second):
        assert len({number for batch in epoch for number in batch}) == 9
    assert first != second
    assert numbers[1].tolist() == first[1]  # any order of access
    with pytest.raises(ValueError, match="has 2 pictures, a batch 3"):
        Shuffled(2, 3, 0, CPU)


def test_a_caption_of_a_kind_is_chosen_for_each_picture() -> None:
    captions = torch.arange(24, dtype=torch.int16).reshape(4, 3, 2)
    empty = torch.tensor([[-5, -6]])
    chosen = chosen_captions(captions, torch.tensor([2, -1, 0, 1]), empty)
    assert chosen.tolist() == [[4, 5], [-5, -6], [12, 13], [20, 21]]


def test_a_generator_of_the_cpu_has_one_stream_for_each_seed_and_number() -> None:
    first, again, other = (
        torch.rand(3, generator=seeded_generator(0, number, device="cpu")) for number in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
