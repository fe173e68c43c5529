"""The verifier is right about real drawings, about spoiled ones too, and is not taken in."""

from __future__ import annotations

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
import itertools

SCENES = [sample_scene(World(), HELD_OUT[-1 - index]) for index in range(100)]
SEVERAL = [drawn for drawn in SCENES if len(drawn.figures) > 1][:25]

Picture = NDArray[np.uint8] | NDArray[np.float64]


def success(verdicts: Sequence[AttributeVerdict]) -> float:
    return float(np.mean([verdict.success for verdict in verdicts]))


def judged(
    scenes: Sequence[Scene], change: Callable[[NDArray[np.uint8]], Picture] = lambda picture: picture
) -> list[AttributeVerdict]:
    return [verdict for drawn in scenes for verdict in verify(change(draw(drawn)), drawn.figures)]


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """By a Gaussian of one pixel."""
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


def test_real_drawings_are_right() -> None:
    assert success(judged(SCENES)) >= 0.98


def test_crowded_drawings_are_right() -> None:
    assert (
        success(judged([sample_scene(World(crowding=8, instances=(5, 6)), index) for index in HELD_OUT[:15]]))
        >= 0.95
    )


@pytest.mark.parametrize("change", [blurred, noisy, tinted])
def test_a_little_damage_changes_nothing(change: Callable[[NDArray[np.uint8]], Picture]) -> None:
    assert success(judged(SCENES[:25], change)) >= 0.95


def test_bytes_and_floats_are_the_same() -> None:
    picture, boxes = draw(SEVERAL[0]), [figure.box_px for figure in SEVERAL[0].figures]
    assert classify(picture, boxes) == classify(picture.astype(np.float32) / 255, boxes)


def test_pictures_of_the_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"\(height, width, 3\), got \(3, 128, 128\)"):
        classify(np.zeros((3, 128, 128)), [])


# Controls: what is not there is not found


def test_swapped_attributes_fail() -> None:
    verdicts = []
    for drawn in SEVERAL:
        looks = [figure.attributes for figure in drawn.figures]
        swapped = [
            replace(figure, attributes=other)
            for figure, other in zip(drawn.figures, looks[1:] + looks[:1], strict=True)
        ]
        verdicts += verify(draw(replace(drawn, figures=tuple(swapped))), drawn.figures)
    assert success(verdicts) < 0.02
    assert np.mean([verdict.found for verdict in verdicts]) > 0.9  # there is something, but not that


@pytest.mark.parametrize("attribute", ["shape", "colour", "pattern", "pattern_colour"])
def test_one_wrong_attribute_is_told(attribute: str) -> None:
    drawn = Attributes("heart", "green", "striped", "white")
    wanted = replace(
        drawn,
        **{
            attribute: {"shape": "circle", "colour": "red", "pattern": "dotted", "pattern_colour": "black"}[
                attribute
            ]
        },
    )
    box = (30, 40, 80, 90)
    (verdict,) = verify(draw(Scene(128, "rose", (Figure(drawn, box),))), [Figure(wanted, box)])
    assert verdict.found
    assert not verdict.success
    assert [
        name for name in ("shape", "colour", "pattern", "pattern_colour") if not getattr(verdict, name)
    ] == [attribute]


def test_an_empty_background_and_noise_show_nothing() -> None:
    noise = np.random.default_rng(0).random((128, 128, 3))
    for drawn in SEVERAL[:10]:
        assert not any(verdict.found for verdict in verify(draw(replace(drawn, figures=())), drawn.figures))
        assert not any(verdict.found for verdict in verify(noise, drawn.figures))


def test_another_scene_does_not_pass() -> None:
    verdicts = [verdict for a, b in itertools.pairwise(SEVERAL) for verdict in verify(draw(a), b.figures)]
    assert success(verdicts) < 0.02


# The box


def at(iou: float, box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    """The box, moved to the right so far that this is its overlap with where it was."""
    x0, y0, x1, y1 = box
    way = (x1 - x0) * (1 - iou) / (1 + iou)
    return x0 + way, y0, x1 + way, y1


@pytest.mark.parametrize(("iou", "found"), [(0.3, False), (0.45, False), (0.55, True), (0.8, True)])
def test_a_figure_beside_its_box_counts_if_it_overlaps_by_half(iou: float, found: bool) -> None:
    alone = [
        figure for drawn in SCENES for figure in drawn.figures if figure.box_px[2] - figure.box_px[0] < 50
    ][:12]
    results = []
    for figure in alone:
        x0, y0, x1, y1 = figure.box_px
        drawn = Scene(128, "slate", (replace(figure, box_px=(4, y0, 4 + x1 - x0, y1)),))
        (fit,) = classify(draw(drawn), [at(iou, drawn.figures[0].box_px)])
        x0, y0, x1, y1 = at(iou, drawn.figures[0].box_px)
        results.append(judge(fit, replace(figure, box_px=(x0, y0, x1, y1))).found)  # type: ignore[arg-type]
    assert np.mean(results) > 0.9 if found else np.mean(results) < 0.1


@pytest.mark.parametrize(("iou", "found"), [(0.49, False), (0.51, True)])
def test_the_line_is_drawn_at_a_half(iou: float, found: bool) -> None:
    figure = Figure(Attributes("square", "red"), (0, 0, 100, 100))
    (fit,) = classify(draw(Scene(128, "grey", (figure,))), [figure.box_px])
    assert box_iou(at(iou, figure.box_px), figure.box_px) == pytest.approx(iou)
    assert judge(replace(fit, box=at(iou, figure.box_px)), figure).found is found


# Occlusion


def test_a_figure_behind_another_is_known_by_what_is_seen_of_it() -> None:
    back = Figure(Attributes("circle", "yellow", "dotted", "purple"), (20, 20, 90, 90))
    front = Figure(Attributes("square", "green", "checkered", "white"), (60, 50, 115, 105))
    picture = draw(Scene(128, "beige", (back, front)))
    assert all(verdict.success for verdict in verify(picture, [back, front]))


def test_a_nearer_instance_that_is_missing_hides_nothing() -> None:
    """A figure that was not finished is not excused by one that should have stood in front of it but was not drawn."""
    back = Figure(Attributes("circle", "red"), (20, 20, 80, 80))
    front = Figure(Attributes("square", "blue"), (42, 20, 102, 80))
    picture = draw(Scene(128, "grey", (back,)))
    picture[:, 42:] = draw(Scene(128, "grey", ()))[:, 42:]  # a third of a circle, and no square
    verdicts = verify(picture, [back, front])
    assert not any(verdict.found for verdict in verdicts)
