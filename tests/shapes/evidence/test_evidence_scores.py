"""What counts as leaked, and scores of whole pictures."""

from __future__ import annotations

import numpy as np
import pytest

from shapes.drawing import draw
from shapes.evidence.layouts.arrangements import pair_scene
from shapes.evidence.numbers.scores import LEAKED, MEASURES, joined, leaked, score
from shapes.models.config import load_shapes_config
from shapes.recognition.verifier import AttributeVerdict
from shapes.results.picture_score import InstanceScore
from shapes.scene import Attributes, Scene

WORLD = load_shapes_config("shapes").shapes.world
RED, BLUE = Attributes("circle", "red"), Attributes("square", "blue", "dotted", "white")


def instance(asked: Attributes, seen: Attributes | None) -> InstanceScore:
    return InstanceScore(asked, seen, AttributeVerdict(True, True, True, True, True), 1.0)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (RED, False),  # right
        (None, False),  # not found
        (Attributes("circle", "blue"), True),  # the other's colour
        (Attributes("square", "red"), True),  # its shape
        (Attributes("circle", "red", "dotted", "white"), True),  # its pattern
        (Attributes("circle", "green"), False),  # wrong, but nobody's
    ],
)
def test_a_wrong_attribute_that_another_instance_was_asked_for_has_leaked(
    seen: Attributes | None, expected: bool
) -> None:
    assert leaked(instance(RED, seen), [instance(BLUE, BLUE)]) is expected
    assert not leaked(instance(RED, seen), [])


def test_scores_of_drawings_that_show_the_scene_and_of_some_that_swap_it() -> None:
    scenes = [pair_scene(WORLD, 0.0, index) for index in range(3)]
    swapped = [
        Scene(
            scene.size,
            scene.background,
            tuple(
                type(figure)(other.attributes, figure.box_px)
                for figure, other in zip(scene.figures, scene.figures[::-1], strict=True)
            ),
        )
        for scene in scenes
    ]
    right = score(np.stack([draw(scene) for scene in scenes]), scenes)
    wrong = score(np.stack([draw(scene) for scene in swapped]), scenes)
    assert right.counts.tolist() == wrong.counts.tolist() == [2, 2, 2]
    assert right.hits[:, MEASURES.index("drawn_well")].all()
    assert not right.hits[:, MEASURES.index(LEAKED)].any()
    assert not wrong.hits[:, MEASURES.index("success")].any()
    assert wrong.hits[:, MEASURES.index(LEAKED)].all()
    both = joined([right, wrong])
    assert both.picture.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(both.features) == 6
