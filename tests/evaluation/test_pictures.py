"""Pictures of layouts: reading, missing files, and the bound of the aspect ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from scenes import layout

from evaluation.benchmark import Benchmark, write_benchmark
from evaluation.generate.generator import check_aspect_ratio
from evaluation.pictures import check_pictures, read_picture
from ifadapter_core.layout import Layout


@pytest.fixture
def cats(tmp_path: Path) -> Benchmark:
    """A benchmark of five layouts of 100 x 100 pixels, and their pictures in ``pictures``."""
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        Image.new("RGB", (100, 100), (number, 0, 0)).save(tmp_path / "pictures" / f"p{number}.png")
    return write_benchmark(
        tmp_path / "benchmark",
        {f"p{number}": layout(((0, 0, 40, 100), "cat")) for number in range(5)},
        {},
    )


def test_missing_pictures_are_counted_and_listed(cats: Benchmark, tmp_path: Path) -> None:
    for number in (0, 1, 2, 4):
        (tmp_path / "pictures" / f"p{number}.png").unlink()
    with pytest.raises(
        ValueError,
        match=r"4 of 5 pictures are missing in .*: p0.png, p1.png, p2.png \.\.\. Generate them",
    ):
        check_pictures(cats, tmp_path / "pictures")


def test_unreadable_pictures_and_other_aspect_ratios_are_refused(cats: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "p0.png"
    wanted = cats.entries[0].layout
    Image.new("RGB", (100, 60)).save(path)
    with pytest.raises(ValueError, match=r"p0.png is 100 x 60 pixels; its layout is 100 x 100"):
        read_picture(path, wanted)
    whole = Image.effect_noise((100, 100), 50)
    whole.save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"p0.png cannot be read .* Generate it again"):
        read_picture(path, wanted)
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"p0.png cannot be read"):
        read_picture(path, wanted)


def test_all_pictures_are_checked_before_any_is_scored(cats: Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    check_pictures(cats, folder)
    Image.new("RGB", (100, 60)).save(folder / "p4.png")
    with pytest.raises(ValueError, match=r"p4\.png is 100 x 60 pixels; its layout is 100 x 100"):
        check_pictures(cats, folder)
    Image.effect_noise((100, 100), 50).save(folder / "p3.png")
    (folder / "p3.png").write_bytes((folder / "p3.png").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"p3\.png cannot be read .* Generate it again"):
        check_pictures(cats, folder)


def test_a_picture_outside_of_the_folder_is_refused(cats: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "p2.png"
    path.rename(tmp_path / "private.png")
    path.symlink_to(tmp_path / "private.png")
    with pytest.raises(ValueError, match=r"'p2\.png' is outside of .*: it leads to '.*private\.png'"):
        check_pictures(cats, tmp_path / "pictures")


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    """They hide any color."""
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "p.png")
    picture = read_picture(tmp_path / "p.png", Layout(8, 8))
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("width", [96, 104], ids=["narrower", "wider"])
def test_rounded_sides_are_within_the_aspect_tolerance(tmp_path: Path, width: int) -> None:
    """What the generator accepts, the scorer reads: both have the same bound."""
    wanted = Layout(100, 100, (), "")
    picture = Image.new("RGB", (width, 100))
    picture.save(tmp_path / "p.png")
    check_aspect_ratio(picture, wanted)
    assert read_picture(tmp_path / "p.png", wanted).size == (width, 100)


@pytest.mark.parametrize("width", [94, 106], ids=["narrower", "wider"])
def test_larger_differences_exceed_the_aspect_tolerance(tmp_path: Path, width: int) -> None:
    wanted = Layout(100, 100, (), "")
    picture = Image.new("RGB", (width, 100))
    picture.save(tmp_path / "p.png")
    with pytest.raises(ValueError, match=f"{width} x 100 pixels, its layout 100 x 100"):
        check_aspect_ratio(picture, wanted)
    with pytest.raises(ValueError, match=f"{width} x 100 pixels; its layout is 100 x 100"):
        read_picture(tmp_path / "p.png", wanted)
