"""Linked boxes: detectors, box editors, bare numbers, SEGS."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
import torch

from ifadapter_core.layout import LayoutError
from ifadapter_core.layout_formats import from_json, read_layout, read_linked, shown_boxes
from layout_json import HEIGHT, WIDTH, check_box, host_box, notices_of, own, own_box, read, seg

WITH_DESC = host_box(metadata={"type": "obj", "text": "", "desc": "a green sofa", "palette": []})
HOST_FORMS = {
    "a dict": WITH_DESC,
    "a list": [WITH_DESC],
    "one frame": [[WITH_DESC]],
}


@pytest.mark.parametrize("form", HOST_FORMS)
def test_linked_bounding_boxes_are_in_pixels(form: str) -> None:
    layout = read("", HOST_FORMS[form])
    assert layout.local_descriptions == ["a green sofa"]
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


def test_linked_boxes_with_a_list_of_descriptions() -> None:
    layout = read(json.dumps(["a sofa ", "a lamp"]), [host_box(), host_box(x=500)])
    assert layout.local_descriptions == ["a sofa", "a lamp"]
    check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)


def test_linked_boxes_replace_written_boxes() -> None:
    written = own(own_box(caption="a sofa", strength=0.5), own_box(caption="a lamp"), caption="a room")
    layout = read(written, [host_box(), host_box(x=500, metadata={"desc": "a cup"})])
    assert layout.local_descriptions == ["a sofa", "a lamp"]
    assert [instance.strength for instance in layout.instances] == [0.5, 1.0]
    assert layout.caption == "a room"
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


def test_written_descriptions_win_over_as_many_labels_and_it_is_said() -> None:
    written = own(own_box(caption="a ginger cat with white paws"), own_box(caption="a lamp"))
    linked = read_linked([host_box(label="cat"), host_box(x=500, label="lamp")], WIDTH, HEIGHT, "xywh")
    layout, notices = read_layout(written, WIDTH, HEIGHT, linked)
    assert layout.local_descriptions == ["a ginger cat with white paws", "a lamp"]
    assert "in place of the labels (cat, lamp)" in " ".join(notices)
    layout, notices = read_layout(own(own_box(caption="a room")), WIDTH, HEIGHT, linked)
    assert layout.local_descriptions == ["cat", "lamp"]
    assert "labels of the 2 linked boxes are their local descriptions (cat, lamp)" in " ".join(notices)


@pytest.mark.parametrize("written", ["[]", '["a", "b", "c"]', own(own_box(), own_box(), own_box())])
def test_linked_boxes_with_descriptions_ignore_written_boxes(written: str) -> None:
    linked = [host_box(metadata={"desc": "a cup"}), host_box(x=0, label="a wall")]
    layout = read(written, linked)
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[1], 0, 0.1, 0.3, 0.5)


def test_written_entries_without_boxes_describe_linked_boxes() -> None:
    layout = read(own({"caption": "a sofa"}), [[host_box()]])
    assert layout.local_descriptions == ["a sofa"]


def test_a_size_of_the_text_is_no_notice_beside_linked_boxes() -> None:
    text = own(own_box(), width=WIDTH, height=2 * HEIGHT)
    linked = read_linked([host_box()], WIDTH, HEIGHT)
    assert not [
        notice for notice in read_layout(text, WIDTH, HEIGHT, linked).notices if "stretched" in notice
    ]
    assert "stretched" in read_layout(text, WIDTH, HEIGHT).notices[0]


def test_linked_elements_are_in_thousandths() -> None:
    layout = read("", [{"type": "obj", "bbox": [100, 200, 500, 1000], "desc": "a cup"}])
    assert layout.local_descriptions == ["a cup"]
    check_box(layout.boxes[0], 0.2, 0.1, 1.0, 0.5)
    with pytest.raises(LayoutError, match='"bbox" alone does not say its order'):
        read("", [{"bbox": [100, 200, 500, 1000], "desc": "a cup"}])


@pytest.mark.parametrize(
    "kind", [tuple, list, np.array, torch.tensor, lambda row: [np.float32(x) for x in row]]
)
@pytest.mark.parametrize(
    ("bbox_format", "numbers"), [("xywh", (100, 50, 300, 200)), ("xyxy", (100, 50, 400, 250))]
)
@pytest.mark.parametrize("nest", [lambda box: box, lambda box: [box], lambda box: [[box, box]]])
def test_bare_numbers_follow_bbox_format(bbox_format: str, numbers: tuple, nest: Any, kind: Any) -> None:
    linked = nest(kind(numbers))
    words = ["a"] * (
        2 if isinstance(linked, list) and isinstance(linked[0], list) and len(linked[0]) == 2 else 1
    )
    layout = from_json(json.dumps(words), WIDTH, HEIGHT, linked, bbox_format=bbox_format)
    assert len(layout.boxes) == len(words)
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


@pytest.mark.parametrize("array", [np.array, torch.tensor])
def test_a_table_of_numbers(array: Any) -> None:
    rows = array([[100.0, 50.0, 300.0, 200.0], [500.0, 50.0, 300.0, 200.0]])
    for linked in (rows, rows[None]):
        layout = read('["a", "b"]', linked)
        check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)


@pytest.mark.parametrize("bbox_format", ["xywh", "xyxy"])
def test_rows_with_a_score_are_edges(bbox_format: str) -> None:
    linked = [[100, 50, 400, 250, 0.9], [500, 50, 800, 250, 0.4]]
    layout = from_json('["a", "b"]', WIDTH, HEIGHT, linked, bbox_format=bbox_format)
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)
    check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)
    assert ("left, top, right, bottom and score" in notices_of(linked, '["a", "b"]')) is True


def test_numbers_that_fit_both_orders_are_said() -> None:
    assert "fit xywh and xyxy. They were read as xywh" in notices_of([[100, 50, 300, 200]], '["a"]')
    assert "They were read as xyxy" in notices_of([[100, 50, 300, 200]], '["a"]', "xyxy")
    assert notices_of([[100, 50, 300, 200], [500, 200, 100, 100]], '["a", "b"]') == ""


@pytest.mark.parametrize(
    ("numbers", "wrong"), [((400, 200, 100, 50), "xyxy"), ((400, 200, 900, 250), "xywh")]
)
def test_numbers_that_fit_only_the_other_order_name_bbox_format(numbers: tuple, wrong: str) -> None:
    listed = ", ".join(map(str, numbers))
    with pytest.raises(LayoutError, match=rf"{listed}, do not fit .* read as {wrong}, .* bbox_format"):
        read_linked([numbers], WIDTH, HEIGHT, wrong)


def test_boxes_are_cut_at_the_canvas() -> None:
    linked = [host_box(x=-50, label="a"), host_box(x=900, y=400, label="b"), host_box(label="c")]
    layout = read("", linked)
    check_box(layout.boxes[0], 0, 0.1, 0.25, 0.5)
    check_box(layout.boxes[1], 0.9, 0.8, 1, 1)
    assert notices_of(linked) == "Linked boxes were cut at the edges of the canvas: box 1, 2."
    assert notices_of([host_box(x=-0.4, label="a")]) == ""  # within rounding


def test_boxes_outside_are_left_out_with_one_notice() -> None:
    linked = [host_box(x=1000), host_box(), host_box(y=-200), host_box(x=999.5)]
    layout = read('["a", "b", "c", "d"]', linked)
    assert layout.local_descriptions == ["b"]
    assert notices_of(linked, '["a", "b", "c", "d"]') == (
        "Linked boxes outside of the canvas were left out: box 1, 3, 4."
    )
    many = [host_box(x=1000, label="a")] * 15
    assert notices_of(many).endswith("box 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 5 more.")
    assert json.loads(shown_boxes(read_linked(linked, WIDTH, HEIGHT), WIDTH, HEIGHT)) == {
        "boxes": [{"x": 0.1, "y": 0.1, "w": pytest.approx(0.3), "h": pytest.approx(0.4), "caption": ""}]
    }


@pytest.mark.parametrize(
    "boxes", [[], [[]], [[[]]], (), [[250, 500], []], torch.zeros(0, 4), ((500, 1000), [])]
)
@pytest.mark.parametrize("text", ["", '["a"]', own(own_box())])
def test_an_empty_detection_is_an_empty_layout_with_a_notice(boxes: Any, text: str) -> None:
    assert read(text, boxes).instances == ()
    assert "nothing was detected, so the layout has no instances" in notices_of(boxes, text)


def test_segs_are_in_pixels_of_their_own_picture() -> None:
    segs = ((250, 500), [seg(50, 25, 200, 125), seg(*np.array([250, 25, 400, 125]), label="a dog")])
    layout = read("", segs)
    assert layout.local_descriptions == ["cat", "a dog"]
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)
    check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)
    check_box(read("", [[250, 500], [seg(50, 25, 200, 125)]]).boxes[0], 0.1, 0.1, 0.4, 0.5)
    unnamed = ((250, 500), [seg(50, 25, 200, 125, label="A")])  # as MASK to SEGS gives
    assert read('["a sofa"]', unnamed).local_descriptions == ["a sofa"]


@pytest.mark.parametrize(
    ("segs", "message"),
    [
        (((0, 500), [seg(1, 2, 30, 40)]), "canvas is 500 x 0"),
        ((("a", 500), [seg(1, 2, 30, 40)]), "size of the linked SEGS must be a number"),
        (((250, 500), [seg(1, 2, 30)]), r"bbox of a linked SEG must be \[x0, y0, x1, y1\]"),
        (((250, 500), [seg(30, 2, 1, 40)]), "Linked box 1 is inverted"),
        (((250, 500), [seg(1, 2, 30, 40)] * 1001), "1001 boxes are linked"),
    ],
)
def test_bad_segs_raise_a_layout_error(segs: Any, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        read("", segs)


def test_a_million_boxes_are_counted_and_not_read() -> None:
    class Unreadable(list):
        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("read")

        def __iter__(self) -> Any:
            raise AssertionError("read")

    many = Unreadable([None] * 1_000_000)
    for boxes in (many, torch.zeros(1_000_000, 4), np.zeros((1, 1_000_000, 4)), [torch.zeros(1_000_000, 4)]):
        with pytest.raises(LayoutError, match="1000000 boxes are linked; at most 1000"):
            read("", boxes)


STRANGE = {
    "tuple keys": {("x", 1): 2},
    "complex numbers": [[1j, 2, 3, 4]],
    "an array of complex numbers": np.array([[1j, 2, 3, 4]]),
    "a tensor without data": torch.zeros(2, 4, device="meta"),
    "text": "[]",
    "bytes": b"1234",
    "a set": {1, 2, 3, 4},
    "an object": object(),
    "a picture": torch.zeros(1, 8, 8, 3),
    "a scalar": torch.tensor(3.0),
    "booleans": [[True, False, True, False]],
    "three numbers": [[1, 2, 3]],
    "six numbers": [[1, 2, 3, 4, 0.5, 7]],
    "not a number": [[float("nan"), 2, 30, 40]],
    "fractions": [[0.1, 0.1, 0.4, 0.5]],
    "fractions in an object": host_box(0.1, 0.1, 0.3, 0.4),
    "text alone": ["a cat"],
    "a label alone": [{"label": "a cat"}],
    "a description of a million characters": [host_box(label="a" * 1_000_000)],
    "half of a character": [host_box(label="\ud83d")],
    "a hidden text": [host_box(label="a", hidden="no")],
    "two frames": [[host_box(label="a")], [host_box(label="b")]],
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_values_raise_a_layout_error(kind: str) -> None:
    with pytest.raises(LayoutError) as refusal:
        read("", STRANGE[kind])
    assert 20 < len(str(refusal.value)) < 600


@pytest.mark.parametrize("opened", ["[", "("])
def test_values_nested_5000_levels_deep_raise_a_layout_error(opened: str) -> None:
    nested: Any = 0
    for _ in range(5000):
        nested = [nested] if opened == "[" else {"metadata": nested}
    for boxes in (nested, [host_box(label=nested)], [host_box(metadata=nested)], {"x": nested}):
        with pytest.raises(LayoutError):
            read("", boxes)


def test_unknown_bbox_format_is_rejected() -> None:
    with pytest.raises(LayoutError, match="bbox_format must be xywh or xyxy"):
        read_linked([], WIDTH, HEIGHT, "cxcywh")


def test_from_json_logs_each_notice_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read('```["a"]```', [host_box(x=-50)])
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        " The layout text was not plain JSON. Repaired",
        " Linked boxes were cut at the edges of the canvas",
    ]
