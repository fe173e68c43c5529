"""The share of a box's pixels that have the colour of a drawing."""

from __future__ import annotations

import numpy as np
import pytest

from shapes.drawing import draw
from shapes.recognition.pixel_agreement import pixel_agreement, psnr_db
from shapes.scene import Attributes, Figure, Scene

BOX = (32, 32, 96, 96)
SQUARE = Scene(128, "grey", (Figure(Attributes("square", "red"), BOX),))


def agreement(picture: np.ndarray, scene: Scene = SQUARE) -> float:
    (share,) = pixel_agreement(picture, draw(scene), [figure.box_px for figure in scene.figures])
    return float(share)


def test_a_drawing_agrees_with_itself() -> None:
    assert agreement(draw(SQUARE)) == 1


@pytest.mark.parametrize("rows", [8, 16, 32])
def test_a_part_in_another_colour_counts_by_its_pixels(rows: int) -> None:
    picture = draw(SQUARE)
    picture[32 : 32 + rows, 32:96] = 24, 104, 218  # blue
    assert agreement(picture) == pytest.approx(1 - rows / 64, abs=1.5 / 64)


def test_only_the_box_counts() -> None:
    picture = draw(SQUARE)
    picture[:32] = picture[96:] = 24, 104, 218
    assert agreement(picture) == pytest.approx(1, abs=2 / 64)


def test_a_drift_of_all_colours_and_another_background_count_as_right() -> None:
    drifted = np.clip(draw(SQUARE).astype(int) + 12, 0, 255).astype(np.uint8)
    assert agreement(drifted) == 1
    assert agreement(draw(Scene(128, "beige", SQUARE.figures))) == 1


def test_a_figure_in_front_has_its_own_colour_in_the_box_behind() -> None:
    front = Figure(Attributes("square", "yellow"), (64, 64, 120, 120))
    overlapping = Scene(128, "grey", (*SQUARE.figures, front))
    drawing = draw(overlapping)
    behind, _ = pixel_agreement(drawing, drawing, [BOX, front.box_px])
    assert behind == 1
    without, _ = pixel_agreement(draw(SQUARE), drawing, [BOX, front.box_px])
    assert without == pytest.approx(0.75, abs=0.02)


def test_sizes_must_be_equal() -> None:
    with pytest.raises(ValueError, match=r"The picture is \(64, 64, 3\) and its drawing \(128, 128, 3\)"):
        pixel_agreement(np.zeros((64, 64, 3), np.uint8), draw(SQUARE), [BOX])


def test_the_signal_to_noise_ratio_is_that_of_the_mean_squared_error() -> None:
    drawing = draw(SQUARE)
    picture = np.where(drawing > 127, drawing - 10, drawing + 10).astype(np.uint8)
    assert psnr_db(picture, drawing) == pytest.approx(20 * np.log10(255 / 10), abs=1e-3)
    assert psnr_db(drawing, drawing) == np.inf
