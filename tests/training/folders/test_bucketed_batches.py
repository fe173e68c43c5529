"""Batches of pictures of different shapes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from picture_files import write
from PIL import Image
from torch.utils.data import DataLoader

from ifadapter_core.layout import Layout
from training.config import FolderConfig
from training.cropping.buckets import Canvas
from training.cropping.crops import configured_crops
from training.pictures.batches import PictureBatches
from training.pictures.folder import FolderSamples

SHAPES = [(100, 100), (130, 60), (60, 140), (121, 60), (97, 100), (100, 100), (150, 70)]


def picture(folder: Path, name: str, width: int, height: int) -> Path:
    """A picture whose red tells the column and green the row, with one box."""
    columns = torch.linspace(0, 255, width).byte().expand(height, -1)
    rows = torch.linspace(0, 255, height).byte()[:, None].expand(-1, width)
    pixels = torch.stack([columns, rows, torch.zeros_like(rows)], dim=-1).contiguous()
    Image.frombytes("RGB", (width, height), bytes(pixels.flatten().tolist())).save(folder / name)
    part = {"box": [width // 4, height // 4, width // 4, height // 4], "caption": "a thing"}
    layout = {"caption": name, "annotations": [part]}
    (folder / name).with_suffix(".json").write_text(json.dumps(layout))
    return folder / name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, shape in enumerate(SHAPES):
        picture(tmp_path, f"{number}.png", *shape)
    return tmp_path


def batches(
    folder: Path, size: int = 128, batch_size: int = 2, crops: int = 0, aspect: str = "buckets", **more: float
) -> PictureBatches:
    settings = FolderConfig(str(folder), size, aspect=aspect, crops=crops)  # type: ignore[arg-type]
    return PictureBatches(
        configured_crops(settings, FolderSamples(folder), batch_size, seed=3), batch_size, 3, **more
    )


def test_a_batch_has_one_shape_near_to_that_of_its_pictures(folder: Path) -> None:
    found = batches(folder)
    seen = set()
    for number in range(12):
        batch = found[number]
        assert batch.images is not None
        canvas = Canvas(batch.images.shape[3], batch.images.shape[2])
        seen.add(canvas)
        for layout in batch.layouts:
            assert (layout.width, layout.height) == canvas
            width, height = SHAPES[int(layout.caption.split(".")[0])]
            if (width, height) != (60, 140):
                # 60 x 140 is the only tall one, so it joins the squares.
                assert (canvas.width > canvas.height) == (width > 1.5 * height)
    assert seen == {Canvas(128, 128), Canvas(128, 64)}


def test_every_picture_is_used_equally_often(folder: Path) -> None:
    """Four epochs of 7 pictures in batches of 2."""
    found = batches(folder)
    used = Counter(layout.caption for number in range(14) for layout in found[number].layouts)
    assert set(used.values()) <= {3, 4, 5}
    assert len(used) == 7


def test_pixels_and_sizes_are_those_of_the_crop(folder: Path) -> None:
    found = batches(folder)
    for number in range(6):
        batch = found[number]
        assert batch.images is not None
        assert batch.sizes is not None
        for image, layout, size in zip(batch.images, batch.layouts, batch.sizes, strict=True):
            width, height = SHAPES[int(layout.caption.split(".")[0])]
            assert size.original == (height, width)
            assert size.target == image.shape[1:] == (layout.height, layout.width)
            scale = max(layout.width / width, layout.height / height)
            top, left = size.crop
            # The color of a pixel tells where it was.
            column = (image[0, 0, 20].item() + 1) / 2 * (width - 1) + 0.5
            row = (image[1, 20, 0].item() + 1) / 2 * (height - 1) + 0.5
            assert column * scale == pytest.approx(left + 20.5, abs=2.5)
            assert row * scale == pytest.approx(top + 20.5, abs=2.5)


def test_squares_tell_their_crop_too(folder: Path) -> None:
    batch = batches(folder, size=64, aspect="square")[0]
    assert batch.sizes is not None
    for layout, size in zip(batch.layouts, batch.sizes, strict=True):
        width, height = SHAPES[int(layout.caption.split(".")[0])]
        assert size.original == (height, width)
        assert size.target == (64, 64)


def seen(batch_list: PictureBatches, numbers: range) -> list[tuple[bytes, list[Layout]]]:
    return [
        (batch_list[number].images.numpy().tobytes(), batch_list[number].layouts)  # type: ignore[union-attr]
        for number in numbers
    ]


def test_fixed_crops_are_taken_in_turn(folder: Path) -> None:
    """Two for each picture: epochs 0, 2, 4 show the same crops, and 1, 3 the others."""
    found = batches(folder, batch_size=1, crops=2)
    epochs = [
        {layout.caption: (layout, size) for number in range(7 * epoch, 7 * epoch + 7)
         for batch in [found[number]] for layout, size in zip(batch.layouts, batch.sizes or [], strict=True)}
        for epoch in range(4)
    ]  # fmt: skip
    assert epochs[0] == epochs[2] != epochs[1] == epochs[3]
    free = batches(folder, batch_size=1)
    assert [free[number].sizes for number in range(7)] != [free[number + 7].sizes for number in range(7)]


def test_fixed_crops_do_not_depend_on_the_other_pictures(folder: Path) -> None:
    def of_the_last(batch_list: PictureBatches) -> object:
        index = len(batch_list.samples) - 1
        return batch_list.crops.fixed(index, 1)

    before = of_the_last(batches(folder, crops=2))
    (folder / "0.png").unlink()
    (folder / "0.json").unlink()
    assert of_the_last(batches(folder, crops=2)) == before


@pytest.mark.slow
def test_data_loader_processes_give_the_same_batches(folder: Path) -> None:
    """Also in an order and from a start of their own, as after a resume or in one of several processes."""
    loader = DataLoader(
        batches(folder), None, sampler=range(9, 0, -2), num_workers=2, multiprocessing_context="fork"
    )
    found = batches(folder)
    for number, batch in zip(range(9, 0, -2), loader, strict=True):
        assert torch.equal(batch.images, found[number].images)
        assert (batch.layouts, batch.sizes) == (found[number].layouts, found[number].sizes)


def test_bad_pictures_are_replaced_by_others_of_their_shape(folder: Path) -> None:
    (folder / "1.json").unlink()
    content = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(content[: len(content) // 2])
    found = batches(folder, max_bad=0.5)
    used = [layout.caption for number in range(14) for layout in found[number].layouts]
    assert set(used) == {"0.png", "2.png", "4.png", "5.png", "6.png"}
    assert {found.samples.name(index) for index in found.skipped} == {"1.png", "3.png"}


def test_a_shape_without_any_usable_picture_is_filled_from_the_others(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path, f"{number}.jpg")
    path = picture(tmp_path, "wide.png", 200, 50)
    path.write_bytes(path.read_bytes()[:200])
    found = batches(tmp_path, size=64, batch_size=1, max_bad=0.5)
    for number in range(10):
        assert found[number].layouts[0].caption.endswith(".jpg")
