"""Which pictures are held out, and how they are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from picture_files import write

from training.config import FolderConfig
from training.cropping.crops import square_crops
from training.pictures.batches import PictureBatches
from training.pictures.held_out import HeldOutPictures, split
from training.pictures.samples import Samples


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for number in range(20):
        write(folder / "more" if number % 2 else folder, f"{number:02}.png")
    return folder


def names(samples: Samples | None) -> list[str]:
    assert samples is not None
    return [samples.name(index) for index in range(len(samples))]


def config(pictures: Path, held_out: str | None) -> FolderConfig:
    return FolderConfig(str(pictures), 32, held_out=held_out)


@pytest.mark.parametrize(("share", "count"), [("20%", 4), ("50%", 10), ("0.1%", 1), ("7.5%", 2)])
def test_a_share_is_held_out_and_the_others_train(pictures: Path, share: str, count: int) -> None:
    training, held_out = map(names, split(config(pictures, share)))
    assert len(held_out) == count
    assert sorted([*training, *held_out]) == sorted(names(split(config(pictures, None))[0]))
    assert not set(training) & set(held_out)


def test_a_share_depends_on_the_names_only(pictures: Path, tmp_path: Path) -> None:
    chosen = names(split(config(pictures, "20%"))[1])
    shutil.copytree(pictures, tmp_path / "copy")
    assert names(split(config(tmp_path / "copy", "20%"))[1]) == chosen
    write(pictures, "new.png")  # a picture changes its side only where the count does
    assert len(set(names(split(config(pictures, "19%"))[1])) & set(chosen)) >= 3


def test_another_folder_is_held_out(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    other = write(tmp_path / "others", "a.png")
    training, held_out = split(config(pictures, str(tmp_path / "others")))
    assert held_out is not None
    assert (len(training), len(held_out), held_out.where(0)) == (20, 1, str(other))


@pytest.mark.parametrize("held_out", ["0%", "60%", "-1%", "two%", "%", "nan%"])
def test_other_shares_are_refused(pictures: Path, held_out: str) -> None:
    with pytest.raises(ValueError, match=r"held_out is .*; expected a share of more than 0% and at most 50%"):
        config(pictures, held_out)


def test_a_folder_inside_the_training_pictures_is_refused(pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"10 of the pictures in folder\.held_out are trained on too"):
        split(config(pictures, str(pictures / "more")))


@pytest.mark.parametrize("held_out", ["none", "2", "0.02", "no"])
def test_a_held_out_folder_that_is_not_there_is_an_error_with_the_choices(
    pictures: Path, held_out: str
) -> None:
    with pytest.raises(ValueError, match=rf"no folder {held_out}, .*folder\.held_out.* share .*2%, or null"):
        split(config(pictures, held_out))


def test_a_file_in_place_of_a_folder_is_an_error(pictures: Path) -> None:
    path = next(pictures.rglob("*.png"))
    with pytest.raises(ValueError, match=r"is a file; expected a folder of pictures, or one of shards"):
        split(config(path, None))


def test_one_picture_cannot_be_shared(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    with pytest.raises(ValueError, match=r"has one picture, so none can be held out"):
        split(config(tmp_path, "2%"))


def test_held_out_pictures_are_never_trained_on(pictures: Path) -> None:
    training, held_out = split(config(pictures, "20%"))
    batches = PictureBatches(square_crops(training, 32), 4)
    captions = {layout.caption for number in range(12) for layout in batches[number].layouts}
    assert captions == {Path(name).name for name in names(training)}
    assert not captions & {Path(name).name for name in names(held_out)}


def test_held_out_pictures_are_central_squares(pictures: Path) -> None:
    _, held_out = split(config(pictures, "50%"))
    found = HeldOutPictures(held_out, 20, 6)
    assert len(found) == 6
    batch = found.batch(range(6))
    assert batch.images is not None
    assert batch.images.shape == (6, 3, 20, 20)
    assert torch.equal(batch.images[2], found.batch([2]).images[0])
    # 48 x 40 pixels lose 4 columns on each side: the box at 4..24 of 48 begins at the left edge.
    assert batch.layouts[0].boxes[0] == (0.0, 0.1, 0.5, 0.6)
    assert found.layouts(2) == batch.layouts[:2]
    assert len(found.layouts(99)) == 6


def test_bad_held_out_pictures_are_left_out_with_a_warning(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, held_out = split(config(pictures, "20%"))
    paths = [Path(held_out.where(index)) for index in range(len(held_out))]
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[: len(content) // 2])
    assert len(HeldOutPictures(held_out, 20, 64)) == 3
    assert f"1 held-out pictures are left out: {paths[0]}" in caplog.text
    for path in paths:
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="None of the 4 held-out pictures can be used"):
        HeldOutPictures(held_out, 20, 64)
