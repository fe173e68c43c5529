"""The detector finds figures without a layout."""

from __future__ import annotations

import numpy as np
import pytest

from shapes.drawing import draw
from shapes.recognition.average_precision import ap50
from shapes.recognition.detection import detect
from shapes.sampler import HELD_OUT, World, sample_scene
from shapes.scene import Attributes, Figure, Scene


@pytest.mark.slow
def test_average_precision_of_real_drawings() -> None:
    scenes = [sample_scene(World(), index) for index in HELD_OUT[:25]]
    assert ap50([detect(draw(scene)) for scene in scenes], [scene.figures for scene in scenes]) > 0.85


def test_one_figure_is_one_detection() -> None:
    for pattern in ("plain", "striped", "dotted", "checkered", "bordered"):
        attributes = Attributes("square", "green", pattern, None if pattern == "plain" else "white")
        (found,) = detect(draw(Scene(128, "slate", (Figure(attributes, (20, 30, 80, 100)),))))
        assert found.attributes == attributes
        assert np.allclose(found.box, (20, 30, 80, 100), atol=2)


def test_an_empty_picture_has_no_detections() -> None:
    assert detect(draw(Scene(128, "sage", ()))) == []
