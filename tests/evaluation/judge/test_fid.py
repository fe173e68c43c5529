"""The Frechet Inception distance, with features of known mean and covariance."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from red_green_scorer import CountingRedGreen, RedGreen
from torch import nn

from evaluation.judge.fid import check_real_pictures, frechet_inception_distance, real_pictures


def write(folder: Path, mean: tuple[int, int], spread: tuple[int, int]) -> list[Path]:
    """Four pictures; red and green have these means, variances 2/3 * spread**2 and no covariance."""
    folder.mkdir()
    (red, green), (a, b) = mean, spread
    for number, (right, down) in enumerate([(a, 0), (-a, 0), (0, b), (0, -b)]):
        Image.new("RGB", (5, 4), (red + right, green + down, 7)).save(folder / f"{number}.png")
    return real_pictures(folder)


def distance(
    generated: list[Path], real: list[Path], folder: Path, extractor: nn.Module | None = None
) -> float:
    return frechet_inception_distance(generated, real, folder / "cache", extractor or RedGreen())


def test_closed_form_without_covariance(tmp_path: Path) -> None:
    """|m - m'|^2 + (s_1 - s_1')^2 + (s_2 - s_2')^2."""
    real = write(tmp_path / "real", (100, 100), (30, 60))
    made = write(tmp_path / "made", (110, 90), (60, 15))
    expected = 10**2 + 10**2 + 2 / 3 * ((60 - 30) ** 2 + (60 - 15) ** 2)
    assert distance(made, real, tmp_path) == pytest.approx(expected, rel=1e-5)


def test_closed_form_with_covariance(tmp_path: Path) -> None:
    """The covariance matrices of the two sets are multiples of each other."""
    sets = []
    for name, scale in (("real", 20), ("made", 50)):
        (tmp_path / name).mkdir()
        for number, (x, y) in enumerate([(1, 1), (-1, -1), (1, 0), (-1, 0)]):
            Image.new("RGB", (3, 3), (100 + scale * x, 100 + scale * y, 0)).save(
                tmp_path / name / f"{number}.png"
            )
        sets.append(real_pictures(tmp_path / name))
    variances = np.trace(np.cov(np.array([(1, 1), (-1, -1), (1, 0), (-1, 0)]).T))
    assert distance(sets[1], sets[0], tmp_path) == pytest.approx((50 - 20) ** 2 * variances, rel=1e-5)


def test_equal_pictures_have_distance_zero(tmp_path: Path) -> None:
    real = write(tmp_path / "real", (100, 100), (30, 60))
    assert distance(real, real, tmp_path) == pytest.approx(0, abs=1e-3)


def test_features_are_computed_once_for_each_content(tmp_path: Path) -> None:
    real = write(tmp_path / "real", (100, 100), (30, 60))
    made = write(tmp_path / "made", (110, 90), (60, 15))
    first = CountingRedGreen()
    whole = distance(made, real, tmp_path, first)
    assert first.pictures == len(made) + len(real)
    again = CountingRedGreen()
    assert distance(made, real, tmp_path, again) == whole
    distance(made[:2], real, tmp_path, again)  # a part
    assert again.pictures == 0
    Image.new("RGB", (5, 4), (1, 2, 3)).save(made[0])
    assert distance(made, real, tmp_path, again) != whole
    assert again.pictures == 1


def test_damaged_features_are_named(tmp_path: Path) -> None:
    real = write(tmp_path / "real", (100, 100), (30, 60))
    distance(real, real, tmp_path)
    file = next((tmp_path / "cache").iterdir())
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{file.name} cannot be read"):
        distance(real, real, tmp_path)


def test_few_pictures_give_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write(tmp_path / "real", (100, 100), (30, 60))
    with caplog.at_level(logging.WARNING):
        distance(real[:3], real, tmp_path)
    assert "FID of 3 pictures to 4 real ones is not reliable; use at least 1000" in caplog.text
    caplog.clear()
    monkeypatch.setattr("evaluation.judge.fid.RELIABLE_COUNT", 3)
    distance(real[:3], real, tmp_path)
    assert not caplog.text


def test_two_pictures_of_each_set_are_required(tmp_path: Path) -> None:
    real = write(tmp_path / "real", (100, 100), (30, 60))
    with pytest.raises(ValueError, match="of 1 pictures to 4 real ones is not defined"):
        distance(real[:1], real, tmp_path)


@pytest.mark.parametrize("folder", ["none", "."])
def test_a_folder_without_pictures_is_an_error(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ValueError, match="has 0 pictures; expected at least 2"):
        real_pictures(tmp_path / folder)


def test_pictures_are_read_as_they_are_shown(tmp_path: Path) -> None:
    """Transparent pixels are white, also over a hidden color."""
    real = write(tmp_path / "real", (100, 100), (30, 60))
    (tmp_path / "made").mkdir()
    for number in range(len(real)):
        Image.new("RGBA", (5, 4), (9, 9, 9, 0)).save(tmp_path / "made" / f"{number}.png")
    white = distance(real_pictures(tmp_path / "made"), real, tmp_path)
    assert white == pytest.approx(2 * 155**2 + 2 / 3 * (30**2 + 60**2), rel=1e-5)


def test_pictures_of_other_formats_are_named_not_skipped(tmp_path: Path) -> None:
    write(tmp_path / "real", (100, 100), (30, 60))
    (tmp_path / "real" / "photo.HEIC").touch()
    with pytest.raises(ValueError, match=r"1 pictures of formats that are not read: photo\.HEIC"):
        real_pictures(tmp_path / "real")


def test_a_broken_real_picture_is_named(tmp_path: Path) -> None:
    write(tmp_path / "real", (100, 100), (30, 60))
    check_real_pictures(tmp_path / "real")
    (tmp_path / "real" / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"2\.png cannot be read"):
        check_real_pictures(tmp_path / "real")
