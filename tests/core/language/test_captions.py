"""A layout from the answers of a vision-language model, one for each box."""

from __future__ import annotations

import pytest

from ifadapter_core.language.captions import caption_boxes, caption_layout, caption_linked
from ifadapter_core.layout import Box, Instance, Layout, LayoutError
from ifadapter_core.layout_formats import Linked, read_linked

CAT = {"x": 0, "y": 0, "width": 100, "height": 50, "label": "cat"}
DOG = {"x": 100, "y": 100, "width": 100, "height": 100, "label": "dog"}
OUTSIDE = {"x": 300, "y": 0, "width": 50, "height": 50, "label": "bird"}
OVER_THE_EDGE = {"x": 150, "y": 150, "width": 100, "height": 100}  # no label


def linked(*boxes: dict) -> Linked:
    return read_linked([list(boxes)], 200, 200)


def test_each_box_gets_its_answer() -> None:
    answers = ["<think>A dog?</think>a ginger cat", 'Sure! Here is the caption:\n"a black dog"']
    layout, notices = caption_boxes(answers, linked(CAT, DOG), 200, 200, "**Caption:** pets")
    assert notices == ()
    assert layout == Layout(
        200,
        200,
        (
            Instance(Box(0, 0, 0.5, 0.25), "a ginger cat"),
            Instance(Box(0.5, 0.5, 1, 1), "a black dog"),
        ),
        "pets",
    )


@pytest.mark.parametrize("answer", ["", "I'm sorry, I can't.", "<think>It may be"])
def test_a_box_without_an_answer_keeps_its_label_and_is_named(answer: str) -> None:
    layout, notices = caption_boxes(["a ginger cat", answer], linked(CAT, DOG), 200, 200)
    assert layout.local_descriptions == ["a ginger cat", "dog"]
    assert len(notices) == 1
    assert notices[0].startswith("The caption of box 2 is no description")
    assert 'keeps "dog"' in notices[0]


def test_a_box_with_neither_answer_nor_label_is_left_out_and_named() -> None:
    layout, notices = caption_boxes(["a cat", "no answer"], linked(CAT, OVER_THE_EDGE), 200, 200)
    assert layout.local_descriptions == ["a cat"]
    assert any("box 2" in notice and "left out" in notice for notice in notices)


def test_no_description_at_all_is_an_error() -> None:
    with pytest.raises(LayoutError, match=r"None of the 1 caption is a description.*max_length"):
        caption_boxes(["I cannot say"], linked(OVER_THE_EDGE), 200, 200)


def test_labels_alone_make_a_layout() -> None:
    assert caption_boxes([""], linked(CAT), 200, 200).layout.local_descriptions == ["cat"]


@pytest.mark.parametrize("answers", [["a cat", "a bird", "a dog"], ["a cat", "a dog"]])
def test_answers_may_leave_out_boxes_outside_of_the_canvas(answers: list[str]) -> None:
    layout, notices = caption_boxes(answers, linked(CAT, OUTSIDE, DOG), 200, 200)
    assert layout.local_descriptions == ["a cat", "a dog"]
    assert notices == ("Linked boxes outside of the canvas were left out: box 2.",)


def test_boxes_over_the_edge_are_cut_with_a_notice() -> None:
    layout, notices = caption_boxes(["a cat"], linked(OVER_THE_EDGE), 200, 200)
    assert layout.boxes == [Box(0.75, 0.75, 1, 1)]
    assert notices == ("Linked boxes were cut at the edges of the canvas: box 1.",)


@pytest.mark.parametrize("answers", [[], ["a cat"], ["a cat", "a dog", "a bird"]])
def test_another_number_of_answers_is_an_error_with_both_numbers(answers: list[str]) -> None:
    message = rf"{len(answers)} captions? for 2 boxes; expected one for each box.*as a list"
    with pytest.raises(LayoutError, match=message):
        caption_boxes(answers, linked(CAT, DOG), 200, 200)
    layout = Layout(200, 200, (Instance(Box(0, 0, 1, 1), "cat"), Instance(Box(0, 0, 1, 1), "dog")))
    with pytest.raises(LayoutError, match=message):
        caption_layout(answers, layout)


def test_answers_that_are_no_text_are_an_error() -> None:
    with pytest.raises(LayoutError, match=r"A caption is nothing; expected text"):
        caption_boxes(["a cat", None], linked(CAT, DOG), 200, 200)  # type: ignore[list-item]


def test_nothing_detected_is_a_layout_without_instances_and_a_notice() -> None:
    layout, notices = caption_boxes([], read_linked([[]], 200, 200), 200, 200, "an empty room")
    assert layout == Layout(200, 200, (), "an empty room")
    assert "nothing was detected" in notices[0]


def test_a_refused_caption_of_the_picture_is_left_out_with_a_notice() -> None:
    layout, notices = caption_boxes(["a cat"], linked(CAT), 200, 200, "I'm sorry")
    assert layout.caption == ""
    assert notices == ('The caption of the picture is no description ("I\'m sorry"): it was left out.',)


def test_more_than_100_boxes_are_refused() -> None:
    with pytest.raises(LayoutError, match="101 instances; at most 100"):
        caption_boxes(["a cat"] * 101, linked(*[CAT] * 101), 200, 200)


def test_a_layout_keeps_boxes_strengths_and_its_caption() -> None:
    layout = Layout(64, 32, (Instance(Box(0.1, 0.2, 0.3, 0.4), "cat", 0.5),), "pets")
    captioned, notices = caption_layout(["a ginger cat"], layout)
    assert captioned == Layout(64, 32, (Instance(Box(0.1, 0.2, 0.3, 0.4), "a ginger cat", 0.5),), "pets")
    assert notices == ()
    assert caption_layout(["a cat"], layout, "a kitchen").layout.caption == "a kitchen"


def test_a_layout_keeps_its_description_where_the_answer_is_none() -> None:
    layout = Layout(64, 32, (Instance(Box(0, 0, 1, 1), "a striped cat"),))
    captioned, notices = caption_layout(["I can't help with that."], layout)
    assert captioned == layout
    assert 'keeps "a striped cat"' in notices[0]


def test_boxes_and_layouts_are_taken_from_lists_of_one() -> None:
    layout = Layout(64, 32, (Instance(Box(0, 0, 1, 1), "cat"),), "pets")
    assert caption_linked(["a ginger cat"], None, [layout], 8, 8).layout.prompt == "pets, a ginger cat"
    captioned = caption_linked(["a ginger cat"], [[[CAT]]], None, 200, 400, caption="a cat").layout
    assert captioned == Layout(200, 400, (Instance(Box(0, 0, 0.5, 0.125), "a ginger cat"),), "a cat")
    corners = caption_linked(["a cat"], [[[100, 100, 150, 150]]], None, 200, 200, bbox_format="xyxy").layout
    assert corners.boxes == [Box(0.5, 0.5, 0.75, 0.75)]


@pytest.mark.parametrize(
    ("boxes", "layouts", "message"),
    [
        (None, None, "Neither boxes nor a layout"),
        ([[[CAT]]], [Layout(64, 64)], "Both boxes and a layout"),
        ([[[CAT]], [[DOG]]], None, "boxes got a list of 2 values"),
        ([], None, "boxes got a list of 0 values"),
        (None, [Layout(64, 64)] * 3, "layout got a list of 3 values"),
        ([[[CAT], [DOG]]], None, "2 frames of boxes"),
    ],
)
def test_other_links_are_errors(boxes, layouts, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        caption_linked(["a cat"], boxes, layouts, 200, 200)
