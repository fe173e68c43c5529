"""The datasets give deterministic batches in the trainer's format."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from shapes.dataset import Pictures, batch, collate
from shapes.drawing import draw
from shapes.sampler import HELD_OUT, TRAINING, World, sample_scene


def test_an_image_is_its_drawing_in_minus_one_to_one() -> None:
    image, scene = Pictures(World(), HELD_OUT)[5]
    assert scene == sample_scene(World(), HELD_OUT[5])
    assert image.shape == (3, 128, 128)
    assert image.dtype == torch.float32
    back = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert (back == draw(scene)).all()


def test_a_batch() -> None:
    images, scenes, captions = batch(Pictures(World()), range(4, 7))
    assert images.shape == (3, 3, 128, 128)
    assert images.min() >= -1
    assert images.max() <= 1
    assert scenes == [sample_scene(World(), TRAINING[number]) for number in (4, 5, 6)]
    assert captions == [scene.caption for scene in scenes]


def test_a_batch_depends_on_its_numbers_only() -> None:
    pictures = Pictures(World())
    assert torch.equal(batch(pictures, range(2, 6)).images[2:], batch(pictures, range(4, 6)).images)


def test_numbers_beyond_the_range_wrap_around() -> None:
    pictures = Pictures(World(), range(100, 103))
    assert len(pictures) == 3
    assert batch(pictures, range(2, 5)).scenes == [sample_scene(World(), index) for index in (102, 100, 101)]
    with pytest.raises(IndexError):
        pictures[3]


def test_data_loader() -> None:
    loader = DataLoader(Pictures(World(), HELD_OUT[:6]), batch_size=4, collate_fn=collate)
    assert [len(loaded.scenes) for loaded in loader] == [4, 2]
