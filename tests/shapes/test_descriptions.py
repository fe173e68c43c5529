"""Local descriptions are complete, captions name no details, and both are correct English."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from ifadapter_core.layout import Box, Instance, Layout
from shapes.descriptions import (
    LOCAL_DESCRIPTIONS,
    NUMBERS,
    caption,
    local_description,
    placed_caption,
    read_description,
    read_scene,
)
from shapes.sampler import World, sample_scene
from shapes.scene import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, Attributes

# Words that identify a pattern; the plain one needs none.
PATTERN_WORDS = {
    "plain": r"",
    "striped": r"\bstrip(es?|ed)\b",
    "dotted": r"\b(dot(s|ted)|spot(s|ted))\b",
    "checkered": r"\bcheck(s|ered|erboard)\b",
    "bordered": r"\b(border(ed)?|outline(d)?|edges?|rim)\b",
}
ATTRIBUTES = [
    Attributes(shape, colour, pattern, other)
    for shape, pattern, (colour, other) in product(
        SHAPES, PATTERNS[1:], [("red", "orange"), ("orange", "blue"), ("yellow", "white")]
    )
] + [Attributes(shape, colour) for shape, colour in product(SHAPES, COLOURS)]


def descriptions(attributes: Attributes, count: int = 60) -> set[str]:
    """Distinct wordings out of ``count`` samples."""
    rng = np.random.default_rng(0)
    return {local_description(attributes, rng) for _ in range(count)}


@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=str)
def test_a_local_description_names_every_attribute_and_nothing_else(attributes: Attributes) -> None:
    for text in descriptions(attributes):
        words = re.findall("[a-z]+", text)
        assert attributes.shape in words
        assert Counter(word for word in words if word in COLOURS) == Counter(attributes.colours)
        assert not {word for word in words if word in SHAPES} - {attributes.shape}
        assert re.search(PATTERN_WORDS[attributes.pattern], text)
        assert not any(
            re.search(PATTERN_WORDS[other], text) for other in PATTERNS[1:] if other != attributes.pattern
        )


@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=str)
def test_articles_are_correct(attributes: Attributes) -> None:
    for text in descriptions(attributes):
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|\ba a|  ", text)


def test_wording_varies() -> None:
    assert set(LOCAL_DESCRIPTIONS) == set(PATTERNS)
    for pattern, templates in LOCAL_DESCRIPTIONS.items():
        assert len(set(templates)) >= 6
        assert (
            len(descriptions(Attributes("star", "red", pattern, None if pattern == "plain" else "blue")))
            >= 10
        )


def test_the_main_colour_comes_first() -> None:
    """Except for a checkerboard, whose two colours are equal."""
    for pattern in ("striped", "dotted", "bordered"):
        assert all(
            text.index("red") < text.index("blue")
            for text in descriptions(Attributes("star", "red", pattern, "blue"))
        )
    assert (
        len(
            {
                text.index("red") < text.index("blue")
                for text in descriptions(Attributes("star", "red", "checkered", "blue"))
            }
        )
        == 2
    )


def test_captions_name_shapes_counts_and_background_only() -> None:
    for index in range(100):
        scene = sample_scene(World(), index)
        text = scene.caption
        words = re.findall("[a-z]+", text)
        assert not set(words) & set(COLOURS)
        assert not any(re.search(PATTERN_WORDS[pattern], text) for pattern in PATTERNS[1:])
        assert [word for word in words if word in BACKGROUNDS] == [scene.background]
        for shape, count in Counter(figure.attributes.shape for figure in scene.figures).items():
            counted = f"{NUMBERS[count]} {shape}s" if count > 1 else f"(a|one) {shape}"
            assert re.search(rf"\b{counted}\b", text), text
        assert sum(any(word in (shape, f"{shape}s") for shape in SHAPES) for word in words) == len(
            {figure.attributes.shape for figure in scene.figures}
        )
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text)


def test_captions_vary() -> None:
    rng = np.random.default_rng(0)
    assert len({caption(["circle", "circle", "star"], "grey", rng) for _ in range(60)}) >= 12
    assert "nothing" in caption([], "grey", rng)


@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=str)
def test_a_description_can_be_parsed(attributes: Attributes) -> None:
    if attributes.pattern == "checkered" and attributes.colours != tuple(
        sorted(attributes.colours, key=list(COLOURS).index)
    ):
        pytest.skip("the main colour of a checkerboard comes first in the palette")
    assert {read_description(text) for text in descriptions(attributes)} == {attributes}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a ginger cat with white paws",
        "a circle",
        "a red circle and a blue square",
        "a red circle with dots",
        "a red circle with blue dots and blue stripes",
        "a red circle with red dots",
        "a red and blue circle",
    ],
)
def test_other_texts_are_not_parsed(text: str) -> None:
    assert read_description(text) is None


def layout_of(*boxes: tuple[float, float, float, float]) -> Layout:
    instances = tuple(Instance(Box(*box), f"thing {number}") for number, box in enumerate(boxes))
    return Layout(128, 128, instances, f"{len(boxes)} things on a grey background")


def test_a_placed_caption_names_sizes_and_positions_from_back_to_front() -> None:
    layout = layout_of(
        (0.0, 0.0, 0.3, 0.3), (0.2, 0.2, 0.8, 0.8), (0.6, 0.3, 0.9, 1.0), (0.2, 0.7, 0.9, 0.95)
    )
    assert placed_caption(layout) == (
        "grey background; thing 0, small top far left; thing 1, big middle centre; "
        "thing 2, tall lower far right; thing 3, wide bottom centre"
    )


def test_a_placed_caption_without_instances() -> None:
    assert placed_caption(layout_of()) == "grey background; nothing"


def test_a_placed_caption_needs_a_background() -> None:
    with pytest.raises(ValueError, match="'a cat' names no background; expected one of grey"):
        placed_caption(Layout(128, 128, (), "a cat"))


def test_mirrored_boxes_have_mirrored_words() -> None:
    left, right = (
        placed_caption(layout_of((0.1, 0.4, 0.6, 0.6))),
        placed_caption(layout_of((0.4, 0.4, 0.9, 0.6))),
    )
    assert left.replace("left", "right") == right
    assert "left" in left


def test_the_scene_of_a_scenes_layout_is_the_scene() -> None:
    scenes = [sample_scene(World(), index) for index in range(50)]
    assert [read_scene(scene.layout) for scene in scenes] == scenes


def test_a_scene_leaves_out_what_is_not_of_this_world() -> None:
    layout = layout_of((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
    known = Instance(Box(0.25, 0.25, 0.75, 0.75), "a red circle")
    scene = read_scene(Layout(128, 128, (*layout.instances, known), "things"))
    assert [(figure.attributes, figure.box_px) for figure in scene.figures] == [
        (Attributes("circle", "red"), (32, 32, 96, 96))
    ]
    assert scene.background == next(iter(BACKGROUNDS))
    with pytest.raises(ValueError, match="128 x 64; expected a square canvas"):
        read_scene(Layout(128, 64, (), ""))
