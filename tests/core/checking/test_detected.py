"""Boxes of detectors: which description and image each belongs to."""

from __future__ import annotations

import pytest

from ifadapter_core.checking.detected import NO_PHRASE, Detected, named_by, read_detections
from ifadapter_core.checking.matching import Detection
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

SIZE = (200, 100)


def layout(*descriptions: str) -> Layout:
    return Layout(200, 100, tuple(Instance(Box(0, 0, 0.5, 0.5), text) for text in descriptions))


def box(x: float, score: float | None = None, **more: object) -> dict:
    given = {"x": x, "y": 10, "width": 20, "height": 30, **more}
    return given if score is None else {**given, "score": score}


def read(values: list, *layouts: Layout, size: tuple[int, int] = SIZE) -> list[Detected]:
    return read_detections(values, [size] * len(layouts), layouts)


def found(detected: Detected) -> list[tuple[float, float, int]]:
    return [(each.box[0], each.score, each.phrase) for each in detected.detections]


def test_one_list_for_each_description_with_a_frame_for_each_image() -> None:
    cat, pot = [[box(1)], [box(2)], []], [[], [box(3, 0.25)], [box(4), box(5)]]
    layouts = [layout("a cat", "a pot")] * 3
    detected = read([cat, pot], *layouts)
    assert [found(each) for each in detected] == [
        [(1, 1.0, 0)],
        [(2, 1.0, 0), (3, 0.25, 1)],
        [(4, 1.0, 1), (5, 1.0, 1)],
    ]
    assert {each.phrases for each in detected} == {(0, 1)}
    assert detected[0].detections == (Detection((1, 10, 21, 40), 1.0, 0),)


def test_one_list_for_each_description_of_each_image() -> None:
    layouts = [layout("a cat", "a pot"), layout("a dog")]
    detected = read([[[box(1)]], [[]], [[box(2), box(3)]]], *layouts)
    assert [found(each) for each in detected] == [[(1, 1.0, 0)], [(2, 1.0, 0), (3, 1.0, 0)]]


def test_a_flat_list_and_a_single_box_are_one_frame() -> None:
    assert found(read([[box(1), box(2)], box(3)], layout("a cat", "a pot"))[0]) == [
        (1, 1.0, 0),
        (2, 1.0, 0),
        (3, 1.0, 1),
    ]


def test_an_empty_list_is_an_empty_detection_in_all_images() -> None:
    detected = read([[], [[box(1)], []]], *[layout("a cat", "a pot")] * 2)
    assert [found(each) for each in detected] == [[(1, 1.0, 1)], []]


def test_equal_descriptions_share_their_detections_once() -> None:
    """A detector that is asked twice gives the same boxes twice."""
    same = [[box(1, 0.5), box(2, 0.75)]]
    (detected,) = read([same, [[box(3)]], same], layout("a cat", "a pot", "a cat"))
    assert detected.phrases == (0, 1, 0)
    assert found(detected) == [(1, 0.5, 0), (2, 0.75, 0), (3, 1.0, 1)]


def test_labels_name_descriptions() -> None:
    frames = [[box(1, 0.5, label="cat"), box(2, label="dog"), box(3)], []]
    first, second = read([frames], *[layout("a black cat", "a vase")] * 2)
    assert first.phrases == (0, NO_PHRASE)
    assert found(first) == [(1, 0.5, 0), (2, 1.0, 1)]
    assert "'dog'" in first.notices[0]
    assert "1 detected boxes have no label" in first.notices[1]
    assert second == Detected((), (NO_PHRASE, NO_PHRASE))


def test_labels_of_one_list_for_each_image() -> None:
    layouts = [layout("a black cat")] * 2
    detected = read([[[box(1, label="cat")]], [[box(2, label="dog"), box(3, label="cat")]]], *layouts)
    assert [each.phrases for each in detected] == [(0,), (1,)]
    assert found(detected[1]) == [(2, 1.0, 0), (3, 1.0, 1)]


def test_lists_for_descriptions_do_not_need_their_labels() -> None:
    (detected,) = read([[[box(1, label="thing")]], [[box(2, label="thing")]]], layout("a cat", "a pot"))
    assert found(detected) == [(1, 1.0, 0), (2, 1.0, 1)]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("a ginger cat with white paws", 0),
        ("Two Cats", 0),
        ("a dog behind a cat", 1),
        ("a hot dog on a plate", 2),
        ("a glass vase", NO_PHRASE),
        ("a category of its own", NO_PHRASE),
        ("", NO_PHRASE),
    ],
)
def test_a_description_names_the_first_label_in_it(description: str, expected: int) -> None:
    assert named_by(description, ["cat", "dog", "hot dog", "grass"]) == expected


def test_an_article_of_a_label_does_not_count() -> None:
    """Detectors that are asked in words give the words back as labels."""
    assert named_by("a ginger cat", ["a dog", "a cat"]) == 1
    assert named_by("two dogs", ["The Dog"]) == 0
    assert named_by("a vitamin pill", ["a"]) == 0


def test_labels_are_found_in_texts_without_blanks() -> None:
    ginger_cat, cat, dog = "\u4e00\u53ea\u6a59\u8272\u7684\u732b", "\u732b", "\u72d7"
    assert named_by(ginger_cat, [dog, cat]) == 1
    assert named_by("\u30bd\u30d5\u30a1\u306e\u732b", ["\u30bd\u30d5\u30a1", cat]) == 0


def test_plain_words_end_in_s_too() -> None:
    assert named_by("a glass vase", ["gla", "glass"]) == 1
    assert named_by("a bus", ["bus"]) == 0


def test_boxes_may_exceed_the_picture() -> None:
    (detected,) = read([[box(-30, width=300)]], layout("a cat"))
    assert detected.detections[0].box == (-30, 10, 270, 40)


def test_a_detection_under_a_pixel_does_not_stop_the_check_of_the_others() -> None:
    speck = {"x": 0.0, "y": 0.25, "width": 0.5, "height": 0.5}
    (detected,) = read([[speck], [box(3)]], layout("a cat", "a pot"))
    assert [each.box[0] for each in detected.detections] == [0, 3]


def test_boxes_are_pixels_of_their_own_image() -> None:
    sizes = [(200, 100), (400, 50)]
    entry = {"xmin": 0.25, "ymin": 0, "xmax": 0.5, "ymax": 1, "units": "fractions"}
    detected = read_detections([[[{"box": entry, "units": "fractions"}]] * 2], sizes, [layout("a cat")] * 2)
    assert [each.detections[0].box for each in detected] == [(50, 0, 100, 100), (100, 0, 200, 50)]


@pytest.mark.parametrize("values", [[[[], []]], [[]], [[[]], [[]]], [[], []]])
def test_an_empty_detection_for_images_finds_no_instance(values: list) -> None:
    """What a detector with labels gives if it finds nothing in any of two images."""
    detected = read(values, *[layout("a cat", "a pot", "a dog")] * 2)
    assert detected == [Detected((), (0, 1, 2))] * 2


def test_without_instances_nothing_is_read() -> None:
    assert read([[[box(1)]]], layout(), layout()) == [Detected((), ())] * 2


@pytest.mark.parametrize(
    ("values", "images", "words"),
    [
        ([[[box(1)]]], 1, ["1 lists", "with 1 frames", "2 lists, one for each description"]),
        ([[[box(1)], []]] * 2, 3, ["2 lists", "with 2 frames", "each of the 3 images"]),
        ([[[box(1)]]] * 3, 1, ["3 lists", "2 lists"]),
        ([], 1, ["0 lists", "no frames"]),
    ],
)
def test_wrong_numbers_are_an_error_with_what_is_expected(
    values: list, images: int, words: list[str]
) -> None:
    with pytest.raises(LayoutError) as raised:
        read(values, *[layout("a cat", "a pot")] * images)
    assert not [word for word in words if word not in str(raised.value)]


def test_lists_of_layouts_with_other_descriptions_are_counted_together() -> None:
    with pytest.raises(LayoutError, match="Expected 3 lists, one for each description of each of the 2"):
        read([[[], []]] * 2, layout("a cat", "a pot"), layout("a dog"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", "expected a list of boxes"),
        ([[1, 2, 3, 4]], "expected an object with x, y, width and height"),
        ([{"label": "cat"}], "has no position"),
        ([{"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}], "fractions.*multiply them"),
        ([{"x": 1, "y": 1, "width": "wide", "height": 5}], "width"),
        ([box(1, score="high")], "The score of detected box 1"),
    ],
)
def test_boxes_that_cannot_be_read(value: object, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        read([value], layout("a cat"))
