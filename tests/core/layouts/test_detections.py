"""Linked detections: inexact rows, boxes without area, units, and values that are no boxes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from ifadapter_core.layout import LayoutError
from ifadapter_core.layout_formats import read_linked
from layout_json import HEIGHT, WIDTH, check_box, host_box, notices_of, own, own_box, read, seg

EDGES = [[10, 20, 110, 120], [500, 300, 900, 450], [600, 50, 950, 480]]
SIDES = [[500, 300, 100, 100], [600, 50, 300, 60]]


@pytest.mark.parametrize(
    ("rows", "wrong", "right"),
    [
        ([*EDGES, [-2, 10, 100, 1004 / 2]], "xywh", "xyxy"),  # detections reach a little over the edge
        ([*EDGES, [500, 100, 500.4, 300]], "xywh", "xyxy"),
        ([*EDGES, [1200, 100, 1300, 300]], "xywh", "xyxy"),
        ([*SIDES, [-3, 20, 100, 100]], "xyxy", "xywh"),
        ([*SIDES, [600, 50, 300, 0.3]], "xyxy", "xywh"),
    ],
)
def test_one_inexact_row_does_not_hide_the_wrong_order(rows: list, wrong: str, right: str) -> None:
    with pytest.raises(LayoutError, match=f"read as {wrong}, but do as {right}"):
        read_linked(rows, WIDTH, HEIGHT, wrong)
    assert len(read_linked(rows, WIDTH, HEIGHT, right).drafts) == len(rows)


def test_detections_without_area_are_left_out_with_one_notice() -> None:
    said = "Linked boxes that are inverted or have a side under one pixel were left out: box "
    linked = [host_box(width=0), host_box(), host_box(width=-5), host_box(height=0.4)]
    assert read('["a", "b", "c", "d"]', linked).local_descriptions == ["b"]
    assert notices_of(linked, '["a", "b", "c", "d"]') == said + "1, 3, 4."
    segs = ((250, 500), [seg(50, 25, 200, 125), seg(30, 2, 1, 40)])
    assert notices_of(segs) == said + "2."
    assert read("", [[100, 100, 0.5, 200]]).instances == ()
    assert notices_of([host_box(width=0)]) == said + "1."


def test_objects_state_their_units() -> None:
    fractions = {"x": 0.1, "y": 0.1, "width": 0.3, "height": 0.4, "units": "fractions"}
    layout = read('["a", "b"]', [fractions, host_box(units="pixels")])
    for box in layout.boxes:
        check_box(box, 0.1, 0.1, 0.4, 0.5)
    with pytest.raises(LayoutError, match="units must be one of fractions"):
        read('["a"]', [host_box(units="px")])


def test_a_strength_of_its_own_is_kept() -> None:
    layout = read(own(own_box(strength=0.5), own_box(strength=0.25)), [host_box(strength=2), host_box()])
    assert [instance.strength for instance in layout.instances] == [2.0, 0.25]


def test_fields_that_are_not_read_are_named() -> None:
    assert "Not read: weight (box 2)." in notices_of([host_box(label="a"), host_box(label="b", weight=0.5)])
    named = '"strenght" of box 2 (did you mean "strength"?)'
    assert named in notices_of([host_box(label="a"), host_box(label="b", strenght=2)])


class Table:
    """A value that compares element by element, as a DataFrame does."""

    def __eq__(self, other: object) -> Any:
        return torch.tensor([True, False])

    __hash__ = None  # type: ignore[assignment]


def test_values_that_compare_element_by_element_are_not_compared() -> None:
    notices = notices_of([host_box(label="a", table=Table(), strenght=Table(), weight=Table(), z=Table())])
    assert "Not read: weight (box 1), z (box 1)." in notices
    assert '"strenght" of box 1' in notices
    with pytest.raises(LayoutError, match="x and y are read as the left top corner"):
        notices_of([host_box(label="a", anchor=Table())])
    with pytest.raises(LayoutError, match="units must be one of"):
        notices_of([host_box(label="a", units=Table())])


UNFIT: dict[str, tuple[Any, str]] = {
    "a class behind the score": ([[1, 2, 30, 40, 0.5, 7]], "box 1 is a list of 6 numbers, .* Leave out"),
    "a batch before the edges": (torch.zeros(1, 7), "box 1 is a list of 7 numbers"),
    "Florence-2": (
        {"bboxes": [[1, 2, 30, 40]], "labels": ["a"]},
        'a whole layout, with boxes under "bboxes"',
    ),
    "a whole layout in a list": ([json.loads(own(own_box()))], "a whole layout, .* to the input"),
    "fractions": ([[0.1, 0.1, 0.95, 0.95]], "seem to be fractions: multiply them by the width"),
    "a picture": (torch.zeros(1, 64, 64, 3), r"array of shape \(1, 64, 64, 3\), like a picture"),
    "a mask": (torch.zeros(64, 64), r"array of shape \(64, 64\), like a picture"),
    "lists too deep": ([[[[1, 2, 30, 40]]]], "Linked box 1 must be an object .* or a list of four"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_errors_of_other_values_say_what_to_link(kind: str) -> None:
    value, message = UNFIT[kind]
    with pytest.raises(LayoutError, match=message):
        read('["a"]', value)


@pytest.mark.parametrize(("size", "is_said"), [((250, 500), False), ((520, 1000), False), ((500, 500), True)])
def test_segs_of_other_proportions_are_named(size: tuple[int, int], is_said: bool) -> None:
    segs = (size, [seg(50, 25, 200, 125)])
    said = f"a picture of {size[1]} x {size[0]} pixels, whose proportions are not those of the layout"
    assert (said in str(notices_of(segs))) is is_said
