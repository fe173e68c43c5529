"""Pairs of a given IoU and stacks."""

from __future__ import annotations

from itertools import combinations

import pytest

from ifadapter_core.geometry import box_iou
from shapes.drawing import draw
from shapes.evidence.layouts.arrangements import pair_scene, stack_scene
from shapes.evidence.layouts.layout_sets import LayoutSet
from shapes.evidence.studies.overlap import IOUS, STACKS
from shapes.models.config import load_shapes_config
from shapes.recognition.verifier import verify
from shapes.scene import Scene

WORLD = load_shapes_config("shapes").shapes.world
INDICES = range(40)


def check_colours(scene: Scene) -> None:
    """Overlapping figures share no colour."""
    for back, front in combinations(scene.figures, 2):
        if box_iou(back.box_px, front.box_px) > 0:
            assert not set(back.attributes.colours) & set(front.attributes.colours)


@pytest.mark.parametrize("iou", IOUS)
def test_a_pair_has_the_iou_that_is_asked_for(iou: float) -> None:
    for index in INDICES:
        scene = pair_scene(WORLD, iou, index)
        back, front = (figure.box_px for figure in scene.figures)
        assert abs(box_iou(back, front) - iou) <= 0.02
        assert min(*back, *front) >= 0
        assert max(*back, *front) <= WORLD.size
        check_colours(scene)


def test_pairs_lie_in_all_directions() -> None:
    """The front instance is not always on one side."""
    sides = set()
    for index in INDICES:
        back, front = (figure.box_px for figure in pair_scene(WORLD, 0.4, index).figures)
        sides.add((front[0] > back[0], front[1] > back[1]))
    assert len(sides) == 4


@pytest.mark.parametrize("figures", STACKS)
def test_a_stack_overlaps_with_its_neighbours(figures: int) -> None:
    orders = set()
    for index in INDICES:
        scene = stack_scene(WORLD, figures, index)
        boxes = [figure.box_px for figure in scene.figures]
        assert len(boxes) == figures
        for number in range(figures - 1):
            assert box_iou(boxes[number], boxes[number + 1]) == pytest.approx(0.28, abs=0.01)
            if number + 3 < figures:
                assert box_iou(boxes[number], boxes[number + 3]) == 0
        assert all(0 <= edge <= WORLD.size for box in boxes for edge in box)
        check_colours(scene)
        orders.add((boxes[-1][0] > boxes[0][0], boxes[-1][1] > boxes[0][1]))
    assert len(orders) == 4


def test_a_stack_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="stack of 6 figures does not fit"):
        stack_scene(WORLD, 6, 0)


def test_scenes_of_an_index_are_always_the_same_and_others_differ() -> None:
    for layouts in (LayoutSet("pairs", 0.2), LayoutSet("stacks", 3), LayoutSet("counts", 10), LayoutSet()):
        assert layouts.scene(WORLD, 3) == layouts.scene(WORLD, 3)
        assert layouts.scene(WORLD, 3) != layouts.scene(WORLD, 4)


def test_a_set_of_counts_has_as_many_figures_of_one_size() -> None:
    for count in (1, 6, 10):
        for index in range(6):
            figures = LayoutSet("counts", count).scene(WORLD, index).figures
            assert len(figures) == count
            for figure in figures:
                x0, y0, x1, y1 = figure.box_px
                assert 44 <= min(x1 - x0, y1 - y0) <= max(x1 - x0, y1 - y0) <= 46


def test_the_judge_recognizes_drawings_of_pairs() -> None:
    """Front figures always; a back one of which a quarter is visible not always."""
    for iou in (0.0, 0.4):
        for index in range(8):
            scene = pair_scene(WORLD, iou, index)
            assert verify(draw(scene), scene.figures)[-1].success
