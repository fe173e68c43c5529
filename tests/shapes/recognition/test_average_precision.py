"""Average precision equals values computed by hand."""

from __future__ import annotations

import pytest

from shapes.recognition.average_precision import ap50
from shapes.recognition.fitting import Fit
from shapes.scene import Attributes, Figure

RED, BLUE = Attributes("circle", "red"), Attributes("circle", "blue")
BOX, SHIFTED, FAR = (0, 0, 30, 30), (5, 0, 35, 30), (60, 60, 90, 90)


@pytest.mark.parametrize(
    ("detections", "truths", "expected"),
    [
        pytest.param([[Fit(RED, BOX, 0.9)]], [[Figure(RED, BOX)]], 1.0, id="exact"),
        pytest.param([[Fit(RED, SHIFTED, 0.9)]], [[Figure(RED, BOX)]], 1.0, id="IoU 25/35"),
        pytest.param([[Fit(RED, FAR, 0.9)]], [[Figure(RED, BOX)]], 0.0, id="wrong box"),
        pytest.param([[Fit(BLUE, BOX, 0.9)]], [[Figure(RED, BOX)]], 0.0, id="wrong colour"),
        pytest.param([[]], [[Figure(RED, BOX)]], 0.0, id="no detection"),
        pytest.param([[Fit(RED, BOX, 0.9)], []], [[], [Figure(RED, BOX)]], 0.0, id="wrong picture"),
        pytest.param(
            [[Fit(RED, BOX, 0.9), Fit(RED, SHIFTED, 0.8)]],
            [[Figure(RED, BOX)]],
            1.0,
            id="duplicate after full recall",
        ),
        pytest.param(
            [[Fit(RED, FAR, 0.9), Fit(RED, BOX, 0.8)]],
            [[Figure(RED, BOX)]],
            0.5,
            id="wrong, right: precision 1/2 at recall 1",
        ),
        pytest.param(
            [[Fit(RED, BOX, 0.9), Fit(BLUE, BOX, 0.8)], [Fit(BLUE, FAR, 0.7)]],
            [[Figure(RED, BOX)], [Figure(BLUE, FAR)]],
            5 / 6,
            id="right, wrong, right of two: 1/2 * 1 + 1/2 * 2/3",
        ),
        pytest.param(
            [[Fit(BLUE, BOX, 0.9), Fit(RED, BOX, 0.8)], [Fit(BLUE, FAR, 0.7)]],
            [[Figure(RED, BOX)], [Figure(BLUE, FAR)]],
            2 / 3,
            id="wrong, right, right of two: the envelope raises 1/2 to 2/3",
        ),
        pytest.param(
            [[Fit(RED, BOX, 0.9)]], [[Figure(RED, BOX), Figure(BLUE, FAR)]], 0.5, id="one of two found"
        ),
    ],
)
def test_average_precision(detections: list[list[Fit]], truths: list[list[Figure]], expected: float) -> None:
    assert ap50(detections, truths) == pytest.approx(expected)


def test_custom_comparison_of_attributes() -> None:
    assert ap50([[Fit(BLUE, BOX, 0.9)]], [[Figure(RED, BOX)]], lambda a, b: a.shape == b.shape) == 1


def test_no_truths_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ap50([[]], [[]])
