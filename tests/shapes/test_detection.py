"""Figures are found without a layout, and average precision is what a hand computes."""

from __future__ import annotations

import numpy as np
import pytest

from shapes.drawing import draw
from shapes.recognition.average_precision import ap50
from shapes.recognition.detection import detect
from shapes.recognition.fitting import Fit
from shapes.sampler import HELD_OUT, World, sample_scene
from shapes.scene import Attributes, Figure, Scene

RED, BLUE = Attributes("circle", "red"), Attributes("circle", "blue")
BOX, BESIDE, FAR = (0, 0, 30, 30), (5, 0, 35, 30), (60, 60, 90, 90)


def test_real_drawings() -> None:
    scenes = [sample_scene(World(), index) for index in HELD_OUT[:25]]
    assert ap50([detect(draw(drawn)) for drawn in scenes], [drawn.figures for drawn in scenes]) > 0.85


def test_one_figure_is_one_detection() -> None:
    for pattern in ("plain", "striped", "dotted", "checkered", "bordered"):
        looks = Attributes("square", "green", pattern, None if pattern == "plain" else "white")
        (found,) = detect(draw(Scene(128, "slate", (Figure(looks, (20, 30, 80, 100)),))))
        assert found.attributes == looks
        assert np.allclose(found.box, (20, 30, 80, 100), atol=2)


def test_nothing_is_found_in_an_empty_picture() -> None:
    assert detect(draw(Scene(128, "sage", ()))) == []


def fit(looks: Attributes, box: tuple[int, int, int, int], score: float) -> Fit:
    return Fit(looks, box, score)


@pytest.mark.parametrize(
    ("detections", "truths", "expected"),
    [
        ([[fit(RED, BOX, 0.9)]], [[Figure(RED, BOX)]], 1.0),
        ([[fit(RED, BESIDE, 0.9)]], [[Figure(RED, BOX)]], 1.0),  # IoU 25 / 35
        ([[fit(RED, FAR, 0.9)]], [[Figure(RED, BOX)]], 0.0),
        ([[fit(BLUE, BOX, 0.9)]], [[Figure(RED, BOX)]], 0.0),
        ([[]], [[Figure(RED, BOX)]], 0.0),
        ([[fit(RED, BOX, 0.9)], []], [[], [Figure(RED, BOX)]], 0.0),  # right, in another picture
        (
            [[fit(RED, BOX, 0.9), fit(RED, BESIDE, 0.8)]],
            [[Figure(RED, BOX)]],
            1.0,
        ),  # found twice: the second is wrong, too late
        (
            [[fit(RED, FAR, 0.9), fit(RED, BOX, 0.8)]],
            [[Figure(RED, BOX)]],
            0.5,
        ),  # wrong first: precision 1/2 at recall 1
        # right, wrong, right of two truths: 1/2 * 1 + 1/2 * 2/3
        (
            [[fit(RED, BOX, 0.9), fit(BLUE, BOX, 0.8)], [fit(BLUE, FAR, 0.7)]],
            [[Figure(RED, BOX)], [Figure(BLUE, FAR)]],
            5 / 6,
        ),
        # wrong, right, right of two truths: the envelope lifts 1/2 to 2/3
        (
            [[fit(BLUE, BOX, 0.9), fit(RED, BOX, 0.8)], [fit(BLUE, FAR, 0.7)]],
            [[Figure(RED, BOX)], [Figure(BLUE, FAR)]],
            2 / 3,
        ),
        # one of two found
        ([[fit(RED, BOX, 0.9)]], [[Figure(RED, BOX), Figure(BLUE, FAR)]], 0.5),
    ],
)
def test_average_precision(detections: list[list[Fit]], truths: list[list[Figure]], expected: float) -> None:
    assert ap50(detections, truths) == pytest.approx(expected)


def test_what_counts_as_alike_is_ones_own_choice() -> None:
    assert ap50([[fit(BLUE, BOX, 0.9)]], [[Figure(RED, BOX)]], lambda a, b: a.shape == b.shape) == 1


def test_precision_needs_truths() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ap50([[]], [[]])
