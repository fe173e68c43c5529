"""Scenes are reproducible, stay within the limits of their world, and are drawn as described."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

from ifadapter_core.layout_formats import from_json, to_json
from shapes.drawing import coverage, draw
from shapes.sampler import HELD_OUT, TRAINING, World, sample_scene
from shapes.scene import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, Attributes, Figure, Scene

SCENES = [sample_scene(World(), index) for index in range(60)]
CROWDED = [sample_scene(World(crowding=8, instances=(4, 6)), index) for index in range(20)]


def attributes(shape: str, pattern: str, colour: str = "red", other: str = "blue") -> Attributes:
    return Attributes(shape, colour, pattern, None if pattern == "plain" else other)


def silhouettes(scene: Scene) -> list[NDArray[np.bool_]]:
    """The pixels that each figure alone covers by at least half."""
    masks = []
    for figure in scene.figures:
        x0, y0, x1, y1 = figure.box_px
        mask = np.zeros((scene.size, scene.size), bool)
        mask[y0:y1, x0:x1] = sum(coverage(figure.attributes, x1 - x0, y1 - y0)) >= 8
        masks.append(mask)
    return masks


def hidden_parts(scene: Scene) -> list[float]:
    """The hidden fraction of each figure."""
    alone = silhouettes(scene)
    return [
        float((mask & np.any([np.zeros_like(mask), *alone[number + 1 :]], axis=0)).sum() / mask.sum())
        for number, mask in enumerate(alone)
    ]


def overlap(a: Figure, b: Figure) -> bool:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.box_px, b.box_px
    return ax0 < bx1 and bx0 < ax1 and ay0 < by1 and by0 < ay1


# Reproducibility


def test_scenes_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for index in (0, 1, 2, HELD_OUT.stop, TRAINING.stop - 1):
        scene = sample_scene(World(), index)
        digest.update(to_json(scene.layout).encode() + scene.background.encode() + draw(scene).tobytes())
    assert digest.hexdigest() == "07f572bf1f34266d00bdddfdd6486b8a47822c270e78ecb210aeabdf22f3d5c3"


def test_seeds_and_indices_give_distinct_scenes() -> None:
    assert sample_scene(World(), 3) == SCENES[3]
    assert len({sample_scene(World(seed=seed), index) for seed in (0, 1) for index in range(20)}) == 40


def test_training_and_held_out_scenes_are_disjoint() -> None:
    assert not set(HELD_OUT) & set(TRAINING[: len(HELD_OUT)])
    assert HELD_OUT.stop == TRAINING.start
    assert len(HELD_OUT) >= 500


# Limits of the world


def test_counts_sizes_and_aspects() -> None:
    assert {len(scene.figures) for scene in SCENES} == {1, 2, 3, 4, 5, 6}
    for scene in SCENES + CROWDED:
        for figure in scene.figures:
            x0, y0, x1, y1 = figure.box_px
            assert x0 >= 0
            assert y0 >= 0
            assert x1 <= 128
            assert y1 <= 128
            assert min(x1 - x0, y1 - y0) >= 28
            assert max(x1 - x0, y1 - y0) <= 88
            assert max(x1 - x0, y1 - y0) / min(x1 - x0, y1 - y0) < 1.65  # rounded to pixels


def test_all_shapes_patterns_colours_and_backgrounds_occur() -> None:
    all_attributes = [figure.attributes for scene in SCENES for figure in scene.figures]
    assert {attributes.shape for attributes in all_attributes} == set(SHAPES)
    assert {attributes.pattern for attributes in all_attributes} == set(PATTERNS)
    assert {colour for attributes in all_attributes for colour in attributes.colours} == set(COLOURS)
    assert {scene.background for scene in SCENES} == set(BACKGROUNDS)


def test_every_figure_stays_visible() -> None:
    assert max(part for scene in SCENES + CROWDED for part in hidden_parts(scene)) < 0.42


def test_crowding_hides_more() -> None:
    plain = [sample_scene(World(instances=(4, 6)), index) for index in range(20)]
    default, crowded = (
        np.mean([np.mean(hidden_parts(scene)) for scene in scenes]) for scenes in (plain, CROWDED)
    )
    assert default > 0.01  # some occlusion without crowding
    assert crowded > 2 * default


def test_figures_that_overlap_share_no_colour() -> None:
    for scene in SCENES + CROWDED:
        for a, b in combinations(scene.figures, 2):
            assert not (overlap(a, b) and set(a.attributes.colours) & set(b.attributes.colours))


def test_figures_that_overlap_little_may_share_colours() -> None:
    scenes = [sample_scene(World(instances=(4, 6), crowding=4, shared=12), index) for index in range(40)]
    sharing = 0
    for scene in scenes:
        for a, b in combinations(scene.figures, 2):
            (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.box_px, b.box_px
            depth = min(min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0))
            if set(a.attributes.colours) & set(b.attributes.colours):
                assert depth <= 12
                sharing += depth > 0
    assert sharing


def test_a_smaller_world() -> None:
    world = World(
        size=64,
        instances=(2, 3),
        shapes=("square",),
        colours=("red", "green", "blue", "white"),
        patterns=("plain", "dotted"),
    )
    for index in range(10):
        scene = sample_scene(world, index)
        assert draw(scene).shape == (64, 64, 3)
        assert len(scene.figures) in (2, 3)
        assert {figure.attributes.shape for figure in scene.figures} == {"square"}


def test_a_world_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="No room for 6 figures"):
        sample_scene(World(instances=(6, 6), colours=("red",), sides=(0.6, 0.8), patterns=("plain",)), 0)


def test_inconsistent_attributes_are_refused() -> None:
    with pytest.raises(ValueError, match="have a pattern colour"):
        Attributes("circle", "red", "striped")
    with pytest.raises(ValueError, match="must differ"):
        Attributes("circle", "red", "striped", "red")
    with pytest.raises(ValueError, match="comes first"):
        Attributes("circle", "blue", "checkered", "red")


# Drawing


@pytest.mark.parametrize("shape", SHAPES)
def test_a_figure_fills_its_box(shape: str) -> None:
    for (width, height), pattern in product(((28, 28), (28, 44), (53, 34), (88, 87)), PATTERNS):
        box = (9, 17, 9 + width, 17 + height)
        picture = draw(Scene(128, "grey", (Figure(attributes(shape, pattern), box),)))
        rows, columns = np.nonzero((picture != BACKGROUNDS["grey"]).any(-1))
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == box


@pytest.mark.parametrize(("shape", "pattern"), product(SHAPES, PATTERNS[1:]))
def test_both_colours_of_a_small_figure_are_visible(shape: str, pattern: str) -> None:
    main, patterned = coverage(attributes(shape, pattern), 28, 28)
    assert 0.15 < patterned.sum() / (main.sum() + patterned.sum(dtype=float)) < 0.8


def test_the_last_figure_is_in_front() -> None:
    back, front = (
        Figure(attributes("square", "plain", "red"), (0, 0, 64, 64)),
        Figure(attributes("circle", "plain", "blue"), (16, 16, 48, 48)),
    )
    scene = Scene(64, "grey", (back, front))
    assert tuple(draw(scene)[32, 32]) == COLOURS["blue"]
    assert tuple(draw(replace(scene, figures=(front, back)))[32, 32]) == COLOURS["red"]


def test_the_background_has_its_colour() -> None:
    for name, colour in BACKGROUNDS.items():
        assert (draw(Scene(16, name, ())) == colour).all()


# Layout


def test_a_scene_is_a_layout() -> None:
    scene = SCENES[1]
    layout = scene.layout
    assert (layout.width, layout.height, layout.caption) == (128, 128, scene.caption)
    assert layout.local_descriptions == [figure.local_description for figure in scene.figures]
    assert [tuple(edge * 128 for edge in box) for box in layout.boxes] == [
        figure.box_px for figure in scene.figures
    ]
    assert from_json(to_json(layout), 128, 128) == layout
