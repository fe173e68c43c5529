"""Other looks and domains: the judge recognizes drawings of them, and only in their own look."""

from __future__ import annotations

import numpy as np
import pytest

from shapes.drawing import draw
from shapes.evidence.layouts.layout_sets import LayoutSet
from shapes.evidence.looks.domains import TOP_SIDES
from shapes.evidence.looks.labels import labels
from shapes.evidence.looks.table import LOOKS
from shapes.evidence.numbers.scores import MEASURES, score
from shapes.models.config import load_shapes_config
from shapes.scene import Attributes, Figure, Scene

WORLD = load_shapes_config("shapes").shapes.world
COUNT = 12


@pytest.mark.parametrize("key", LOOKS)
def test_the_judge_recognizes_drawings_of_each_look(key: str) -> None:
    scenes = [LayoutSet(look=key).scene(WORLD, index) for index in range(COUNT)]
    found = score(np.stack([LOOKS[key].draw(scene) for scene in scenes]), scenes, key)
    for measure in ("success", "drawn_well"):
        assert found.hits[:, MEASURES.index(measure)].mean() > 0.97


@pytest.mark.parametrize("key", ["lines", "palette", "section"])
def test_a_look_is_not_the_plain_one_to_the_judge(key: str) -> None:
    scenes = [LayoutSet(look=key).scene(WORLD, index) for index in range(4)]
    found = score(np.stack([LOOKS[key].draw(scene) for scene in scenes]), scenes, "plain")
    assert found.hits[:, MEASURES.index("drawn_well")].mean() < 0.5


@pytest.mark.parametrize("key", LOOKS)
def test_a_picture_depends_on_the_scene_only(key: str) -> None:
    first, other = (LayoutSet(look=key).scene(WORLD, index) for index in (0, 1))
    picture = LOOKS[key].draw(first)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, LOOKS[key].draw(first))
    assert (picture != LOOKS[key].draw(other)).any()


def test_a_look_keeps_the_layout_and_a_domain_changes_its_words() -> None:
    plain = LayoutSet().scene(WORLD, 3)
    for key in ("lines", "palette", "shaded"):
        assert LayoutSet(look=key).scene(WORLD, 3) == plain
    section = LayoutSet(look="section").scene(WORLD, 3)
    assert [figure.box_px for figure in section.figures] == [figure.box_px for figure in plain.figures]
    words = {word for figure in section.figures for word in figure.local_description.split()}
    assert not words & {"circle", "square", "triangle", "red", "yellow", "green", "blue"}
    assert plain.background in section.caption


def test_figures_of_top_views_are_small() -> None:
    for index in range(10):
        for figure in LayoutSet(look="top view").scene(WORLD, index).figures:
            x0, y0, x1, y1 = figure.box_px
            assert max(x1 - x0, y1 - y0) <= round(TOP_SIDES[1] * 128)


def test_labels_tell_the_figure_and_its_colour() -> None:
    back = Figure(Attributes("square", "red", "bordered", "white"), (0, 0, 64, 64))
    front = Figure(Attributes("square", "blue"), (32, 32, 96, 96))
    found = labels(Scene(128, "grey", (back, front)))
    assert found.shape == (256, 256)
    assert found[2, 2] == 2  # border of the back one
    assert found[60, 60] == 1
    assert found[100, 100] == 3  # the front one hides the back one
    assert found[250, 250] == 0


def test_contours_are_removed_before_the_judge_sees_a_line_drawing() -> None:
    scene = LayoutSet().scene(WORLD, 0)
    lines = LOOKS["lines"].draw(scene)
    assert lines.min() < 40
    restored, drawn = LOOKS["lines"].restore(lines), draw(scene)
    same = np.abs(restored.astype(int) - drawn).max(-1) < 40
    assert same.mean() > 0.97
