"""The judge accepts real drawings, tolerates slight damage, and rejects everything else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ifadapter_core.geometry import box_iou
from shapes.drawing import draw
from shapes.recognition.verifier import AttributeVerdict, classify, judge, verify
from shapes.sampler import HELD_OUT, World, sample_scene
from shapes.scene import Attributes, Figure, Scene

SCENES = [sample_scene(World(), HELD_OUT[-1 - index]) for index in range(100)]
SEVERAL = [scene for scene in SCENES if len(scene.figures) > 1][:25]

Picture = NDArray[np.uint8] | NDArray[np.float64]


def success(verdicts: Sequence[AttributeVerdict]) -> float:
    return float(np.mean([verdict.success for verdict in verdicts]))


def judged(
    scenes: Sequence[Scene], change: Callable[[NDArray[np.uint8]], Picture] = lambda picture: picture
) -> list[AttributeVerdict]:
    return [verdict for scene in scenes for verdict in verify(change(draw(scene)), scene.figures)]


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Gaussian blur with a standard deviation of one pixel."""
    values = picture / 255.0
    weights = np.exp(-np.square(np.arange(-3, 4)) / 2)
    for axis in (0, 1):
        padded = np.pad(values, [(3, 3) if axis == other else (0, 0) for other in range(3)], "edge")
        values = sum(
            weight * np.take(padded, range(k, k + 128), axis)
            for k, weight in enumerate(weights / weights.sum())
        )
    return np.asarray(values)


def noisy(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return picture / 255.0 + np.random.default_rng(int(picture.sum())).normal(0, 0.05, picture.shape)


def tinted(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return picture / 255.0 + np.array([0.05, -0.05, 0.05])


# Calibration


def test_real_drawings_succeed() -> None:
    assert success(judged(SCENES)) >= 0.98


def test_crowded_drawings_succeed() -> None:
    world = World(crowding=8, instances=(5, 6))
    assert success(judged([sample_scene(world, index) for index in HELD_OUT[:15]])) >= 0.95


@pytest.mark.parametrize("change", [blurred, noisy, tinted])
def test_slight_damage_is_tolerated(change: Callable[[NDArray[np.uint8]], Picture]) -> None:
    assert success(judged(SCENES[:25], change)) >= 0.95


def test_bytes_and_floats_agree() -> None:
    picture, boxes = draw(SEVERAL[0]), [figure.box_px for figure in SEVERAL[0].figures]
    assert classify(picture, boxes) == classify(picture.astype(np.float32) / 255, boxes)


def test_channels_first_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(height, width, 3\), got \(3, 128, 128\)"):
        classify(np.zeros((3, 128, 128)), [])


# Negative controls


def test_swapped_attributes_fail() -> None:
    verdicts = []
    for scene in SEVERAL:
        attributes = [figure.attributes for figure in scene.figures]
        swapped = [
            replace(figure, attributes=other)
            for figure, other in zip(scene.figures, attributes[1:] + attributes[:1], strict=True)
        ]
        verdicts += verify(draw(replace(scene, figures=tuple(swapped))), scene.figures)
    assert success(verdicts) < 0.02
    assert np.mean([verdict.found for verdict in verdicts]) > 0.9  # a figure is there, but the wrong one


WRONG = {"shape": "circle", "colour": "red", "pattern": "dotted", "pattern_colour": "black"}


@pytest.mark.parametrize("attribute", WRONG)
def test_one_wrong_attribute_is_reported(attribute: str) -> None:
    drawn = Attributes("heart", "green", "striped", "white")
    expected = replace(drawn, **{attribute: WRONG[attribute]})
    box = (30, 40, 80, 90)
    (verdict,) = verify(draw(Scene(128, "rose", (Figure(drawn, box),))), [Figure(expected, box)])
    assert verdict.found
    assert not verdict.success
    assert [name for name in WRONG if not getattr(verdict, name)] == [attribute]


def test_background_and_noise_show_nothing() -> None:
    noise = np.random.default_rng(0).random((128, 128, 3))
    for scene in SEVERAL[:10]:
        assert not any(verdict.found for verdict in verify(draw(replace(scene, figures=())), scene.figures))
        assert not any(verdict.found for verdict in verify(noise, scene.figures))


def test_another_scene_fails() -> None:
    verdicts = [verdict for a, b in itertools.pairwise(SEVERAL) for verdict in verify(draw(a), b.figures)]
    assert success(verdicts) < 0.02


# The box


def shifted(iou: float, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    """The box, shifted to the right to have this IoU with the original."""
    x0, y0, x1, y1 = box
    shift = (x1 - x0) * (1 - iou) / (1 + iou)
    return x0 + shift, y0, x1 + shift, y1


@pytest.mark.parametrize(("iou", "found"), [(0.3, False), (0.45, False), (0.55, True), (0.8, True)])
def test_a_shifted_figure_counts_from_half_overlap(iou: float, found: bool) -> None:
    figures = [figure for scene in SCENES for figure in scene.figures]
    narrow = [figure for figure in figures if figure.box_px[2] - figure.box_px[0] < 50][:12]
    results = []
    for figure in narrow:
        x0, y0, x1, y1 = figure.box_px
        scene = Scene(128, "slate", (replace(figure, box_px=(4, y0, 4 + x1 - x0, y1)),))
        (fit,) = classify(draw(scene), [shifted(iou, scene.figures[0].box_px)])
        x0, y0, x1, y1 = shifted(iou, scene.figures[0].box_px)
        results.append(judge(fit, replace(figure, box_px=(x0, y0, x1, y1))).found)  # type: ignore[arg-type]
    assert np.mean(results) > 0.9 if found else np.mean(results) < 0.1


@pytest.mark.parametrize(("iou", "found"), [(0.49, False), (0.51, True)])
def test_the_iou_threshold_is_a_half(iou: float, found: bool) -> None:
    figure = Figure(Attributes("square", "red"), (0, 0, 100, 100))
    (fit,) = classify(draw(Scene(128, "grey", (figure,))), [figure.box_px])
    assert box_iou(shifted(iou, figure.box_px), figure.box_px) == pytest.approx(iou)
    assert judge(replace(fit, box=shifted(iou, figure.box_px)), figure).found is found


# Occlusion


def test_an_occluded_figure_is_recognized() -> None:
    back = Figure(Attributes("circle", "yellow", "dotted", "purple"), (20, 20, 90, 90))
    front = Figure(Attributes("square", "green", "checkered", "white"), (60, 50, 115, 105))
    picture = draw(Scene(128, "beige", (back, front)))
    assert all(verdict.success for verdict in verify(picture, [back, front]))


def test_a_missing_front_figure_occludes_nothing() -> None:
    """An incomplete figure fails if the figure that should occlude it was not scene."""
    back = Figure(Attributes("circle", "red"), (20, 20, 80, 80))
    front = Figure(Attributes("square", "blue"), (42, 20, 102, 80))
    picture = draw(Scene(128, "grey", (back,)))
    picture[:, 42:] = draw(Scene(128, "grey", ()))[:, 42:]  # a third of a circle, and no square
    verdicts = verify(picture, [back, front])
    assert not any(verdict.found for verdict in verdicts)
