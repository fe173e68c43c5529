"""The scores in the tables of the demo's results are computed correctly."""

from __future__ import annotations

import numpy as np
import pytest
from scores import CIRCLE, GOOD, MISSING, PLAIN, ROUGH, WORLD, WRONG_SHAPE, scored

from shapes.drawing import draw
from shapes.results.confusion import NOT_FOUND, confusion
from shapes.results.picture_score import InstanceScore, reference_features, score_instances, score_picture
from shapes.results.summary import interval, rate, summarize, worst
from shapes.sampler import sample_scene


def test_a_rate_counts_instances_not_pictures() -> None:
    ones = [scored(GOOD, ROUGH, WRONG_SHAPE), scored(MISSING)]
    assert rate(ones, "success") == pytest.approx(2 / 4)
    assert rate(ones, "drawn_well") == pytest.approx(1 / 4)
    assert rate(ones, "colour") == pytest.approx(3 / 4)
    assert rate(ones, "found") == pytest.approx(3 / 4)


def test_the_interval_contains_the_rate_and_narrows_with_more_pictures() -> None:
    few = [scored(GOOD, MISSING), scored(GOOD), scored(MISSING)] * 5
    many = few * 16
    (low, high), (lower, higher) = interval(many), interval(few)
    assert lower < low < rate(few, "success") < high < higher
    assert higher - lower == pytest.approx(4 * (high - low), rel=0.25)  # sqrt(16)


def test_each_measure_has_an_interval_of_its_own() -> None:
    ones = [scored(GOOD, ROUGH)] * 10
    assert interval(ones, "success") == (1.0, 1.0)
    assert interval(ones, "drawn_well") == (0.5, 0.5)


def test_the_detector_and_the_ratio_may_be_missing() -> None:
    scenes = [sample_scene(WORLD, index) for index in range(3)]
    other = reference_features(WORLD, range(100, 110))
    scores = [score_picture(draw(scene), scene, index > 0) for index, scene in enumerate(scenes)]
    assert summarize(scores, scenes, other)["ap50"] == summarize(scores[1:], scenes[1:], other)["ap50"]
    without = summarize([score_picture(draw(scene), scene, False) for scene in scenes], scenes, other)
    assert without["ap50"] is None
    assert without["psnr_db"] is None  # equal to the drawings
    ratios = [scored(GOOD, psnr_db=20.0), scored(GOOD, psnr_db=30.0), scored(GOOD, psnr_db=25.0)]
    assert summarize(ratios, scenes, np.ones((3, 4)))["psnr_db"] == pytest.approx(25.0)


@pytest.mark.slow
def test_real_drawings_are_right_and_near_other_real_drawings() -> None:
    scenes = [sample_scene(WORLD, index) for index in range(24)]
    other = reference_features(WORLD, range(100, 148))
    real = summarize([score_picture(draw(scene), scene) for scene in scenes], scenes, other)
    grey = summarize(
        [score_picture(np.full((128, 128, 3), 128, np.uint8), scene) for scene in scenes], scenes, other
    )
    assert real["success"] == real["drawn_well"] >= 0.95
    assert real["ap50"] >= 0.9
    assert grey["success"] == grey["drawn_well"] == grey["found"] == grey["ap50"] == 0
    assert real["frechet"] < grey["frechet"] / 2
    for bar in ("success", "drawn_well"):
        assert set(real[f"{bar}_by_instances"]) == {str(len(scene.figures)) for scene in scenes}


def test_a_rough_picture_is_judged_right_but_not_drawn_well() -> None:
    """The centre of each figure's box is cut out of the drawing: few pixels, but its figures stay."""
    scene = next(
        scene
        for scene in (sample_scene(WORLD, index) for index in range(100))
        if len(scene.figures) == 1 and scene.figures[0].attributes.shape == "square"
    )
    picture = draw(scene)
    x0, y0, x1, y1 = scene.figures[0].box_px
    background = picture[0, 0] if (picture[0, 0] != picture[y0, x0]).any() else picture[-1, -1]
    width = x1 - x0
    right = x0 + round(0.77 * width)
    picture[y0:y1, right:x1] = background
    (one,) = score_instances(picture, scene)
    assert one.verdict.found
    assert one.agreement == pytest.approx(0.77, abs=0.02)
    assert not one.drawn_well


def test_the_confusion_counts_each_instance_once() -> None:
    plain = InstanceScore(PLAIN, CIRCLE, MISSING.verdict, 0.5)
    matrix = confusion([GOOD, ROUGH, MISSING, plain], "pattern")
    assert list(matrix) == ["plain", "dotted"]  # only what was asked
    assert {value: count for value, count in matrix["dotted"].items() if count} == {
        "dotted": 2,
        NOT_FOUND: 1,
    }
    assert matrix["plain"]["dotted"] == 1
    assert confusion([WRONG_SHAPE], "shape")["circle"]["square"] == 1


def test_the_worst_pictures_have_the_fewest_right_instances_then_the_least_agreement() -> None:
    ones = [scored(GOOD), scored(MISSING), scored(GOOD, MISSING), scored(ROUGH)]
    assert worst(ones, 3) == [1, 2, 3]
    assert worst(ones, 10) == [1, 2, 3, 0]
