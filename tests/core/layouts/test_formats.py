"""Every accepted layout format, linked boxes, and the round trip."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ifadapter_core.layout import MAX_INSTANCES, Box, Instance, Layout, LayoutError
from ifadapter_core.layout_formats import from_json, named_boxes, to_json
from layout_json import HEIGHT, WIDTH, check_box, host_box, own, own_box, read


@pytest.mark.parametrize(
    ("bbox_format", "numbers"), [("xywh", (100, 50, 300, 200)), ("xyxy", (100, 50, 400, 250))]
)
@pytest.mark.parametrize(
    "nest", [lambda box: box, lambda box: [box], lambda box: [list(box)] * 4, lambda box: [[box, box]]]
)
def test_bare_numbers_become_bounding_boxes(bbox_format: str, numbers: tuple[int, ...], nest: Any) -> None:
    assert named_boxes(nest(numbers), bbox_format) == json.loads(
        json.dumps(nest(numbers)).replace(str(list(numbers)), json.dumps(host_box()))
    )


@pytest.mark.parametrize(
    "value", [None, [], host_box(), [host_box(label="cat")], [[]], {"boxes": []}, ["a sofa"], [1, 2, 3]]
)
def test_other_values_than_four_numbers_are_unchanged(value: Any) -> None:
    assert named_boxes(value, "xywh") == value


def test_error_for_bare_numbers_names_bbox_format() -> None:
    with pytest.raises(LayoutError, match=r"400, 200, 100, 50 .* xyxy.*bbox_format"):
        named_boxes([(400, 200, 100, 50)], "xyxy")
    for bad in (10**400, math.nan):
        with pytest.raises(LayoutError, match="finite"):
            named_boxes([0, 0, bad, 1], "xywh")
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LayoutError, match="too deeply"):
        named_boxes(deep, "xywh")


def test_own_format() -> None:
    layout = read(
        own(own_box(), own_box(0.5, 0, 0.5, 1, " a lamp ", strength=0.5), version=1, caption=" a room ")
    )
    assert (layout.width, layout.height, layout.caption) == (WIDTH, HEIGHT, "a room")
    assert layout.local_descriptions == ["a green sofa", "a lamp"]
    assert [instance.strength for instance in layout.instances] == [1.0, 0.5]
    check_box(layout.boxes[0], 0.1, 0.2, 0.4, 0.6)
    check_box(layout.boxes[1], 0.5, 0, 1, 1)
    assert layout.prompt == "a room, a green sofa, a lamp"


def test_own_format_without_version_and_caption() -> None:
    layout = read(own(own_box()))
    assert (layout.caption, layout.prompt, len(layout.instances)) == ("", "a green sofa", 1)


def test_hidden_boxes_are_skipped() -> None:
    layout = read(own(own_box(hidden=True), own_box(caption="kept", hidden=False)))
    assert layout.local_descriptions == ["kept"]


def test_release_format_uses_pixels_of_its_own_768_canvas() -> None:
    text = json.dumps(
        {
            "caption": "a room",
            "annotations": [
                {"box": [192, 0, 384, 768], "caption": ["a green sofa"]},
                {"box": [0.0, 76.8, 76.8, 153.6], "caption": "a lamp"},
            ],
        }
    )
    layout = read(text)
    assert (layout.caption, layout.local_descriptions) == ("a room", ["a green sofa", "a lamp"])
    check_box(layout.boxes[0], 0.25, 0, 0.75, 1)
    check_box(layout.boxes[1], 0, 0.1, 0.1, 0.3)


def test_release_format_uses_the_first_of_several_captions() -> None:
    layout = read(
        json.dumps(
            {"annotations": [{"box": [0, 0, 384, 768], "caption": ["a green sofa", "a sofa in green"]}]}
        )
    )
    assert layout.local_descriptions == ["a green sofa"]


def test_release_format_with_a_canvas_size() -> None:
    layout = read(
        json.dumps(
            {"width": 200, "height": 100, "annotations": [{"box": [50, 50, 100, 25], "caption": "a cup"}]}
        )
    )
    check_box(layout.boxes[0], 0.25, 0.5, 0.75, 0.75)
    assert layout.caption == ""


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


@pytest.mark.parametrize("form", ["a dict", "a list"])
def test_bounding_boxes_as_text(form: str) -> None:
    layout = read(json.dumps(HOST_FORMS[form]))
    assert layout.local_descriptions == ["a green sofa"]
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


@pytest.mark.parametrize(
    "words",
    [
        {"metadata": {"desc": "a cup", "text": "other", "label": "other"}},
        {"metadata": {"desc": "", "text": "a cup"}},
        {"metadata": {"label": "a cup"}},
        {"metadata": {"caption": "a cup"}},
        {"label": "a cup"},
        {"desc": "a cup"},
        {"caption": "a cup"},
        {"caption": ["a cup"]},
    ],
)
def test_description_of_a_bounding_box_is_in_its_metadata_or_fields(
    words: dict[str, Any],
) -> None:
    assert read("", [host_box(**words)]).local_descriptions == ["a cup"]


@pytest.mark.parametrize("as_text", [True, False])
def test_box_elements_are_in_thousandths_y_first(as_text: bool) -> None:
    elements = [
        {"type": "obj", "bbox": [100, 200, 500, 1000], "desc": "a cup"},
        {"bbox": [0, 0, 1000, 1000], "text": "a wall"},
    ]
    layout = read(json.dumps(elements)) if as_text else read("", elements)
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[0], 0.2, 0.1, 1.0, 0.5)
    check_box(layout.boxes[1], 0, 0, 1, 1)


def test_single_box_element() -> None:
    check_box(read(json.dumps({"bbox": [0, 250, 500, 750], "desc": "a cup"})).boxes[0], 0.25, 0, 0.75, 0.5)


def test_linked_boxes_with_a_list_of_descriptions() -> None:
    layout = read(json.dumps(["a sofa ", "a lamp"]), [host_box(), host_box(x=500)])
    assert layout.local_descriptions == ["a sofa", "a lamp"]
    check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)


def test_linked_boxes_replace_written_boxes() -> None:
    written = own(own_box(caption="a sofa", strength=0.5), own_box(caption="a lamp"), caption="a room")
    layout = read(written, [host_box(), host_box(x=500, metadata={"desc": "a cup"})])
    assert layout.local_descriptions == ["a sofa", "a cup"]
    assert [instance.strength for instance in layout.instances] == [0.5, 1.0]
    assert layout.caption == "a room"
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


@pytest.mark.parametrize("written", ["[]", '["a", "b", "c"]', own(own_box(strength=0.5), own_box())])
def test_linked_boxes_with_descriptions_ignore_written_boxes(written: str) -> None:
    linked = [host_box(metadata={"desc": "a cup"}), host_box(x=0, label="a wall")]
    layout = read(written, linked)
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[1], 0, 0.1, 0.3, 0.5)


def test_written_entries_without_boxes_describe_linked_boxes() -> None:
    layout = read(own({"caption": "a sofa"}), [[host_box()]])
    assert layout.local_descriptions == ["a sofa"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "[]",
        '{"boxes": []}',
        '{"annotations": [], "caption": "a room"}',
        own(own_box(hidden=True)),
    ],
)
def test_layout_without_instances(text: str) -> None:
    assert read(text).instances == ()


@pytest.mark.parametrize("boxes", [[], [[]]])
def test_empty_linked_boxes(boxes: Any) -> None:
    assert read("", boxes).instances == ()


def test_maximum_number_of_instances() -> None:
    assert MAX_INSTANCES == 100
    assert len(read(own(*[own_box()] * 100)).instances) == 100


@pytest.mark.parametrize("box", [own_box(-0.0005, -0.0005, 1.001, 1.001), own_box(0, 0, 1.0009, 1.0009)])
def test_boxes_slightly_outside_the_canvas_are_clipped(box: dict[str, Any]) -> None:
    assert read(own(box)).boxes == [Box(0, 0, 1, 1)]


@pytest.mark.parametrize(
    "box",
    [
        own_box(x=-0.0009, w=0.0008),
        own_box(y=-0.0009, h=0.0008),
        own_box(x=1.0001, w=0.0008),
        own_box(y=1.0001, h=0.0008),
        own_box(x=1, w=0.0005),
    ],
)
def test_box_without_area_after_clipping_is_rejected(box: dict[str, Any]) -> None:
    with pytest.raises(LayoutError, match="Box 1 "):
        read(own(box))


def edges() -> st.SearchStrategy[tuple[float, float]]:
    return (
        st.tuples(st.floats(0, 1), st.floats(0, 1))
        .map(lambda pair: (min(pair), max(pair)))
        .filter(lambda pair: pair[1] - pair[0] > 1e-9)
    )


WORDS = st.text(max_size=20).map(str.strip)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    instances = []
    for _ in range(draw(st.integers(0, 6))):
        (x0, x1), (y0, y1) = draw(edges()), draw(edges())
        instances.append(Instance(Box(x0, y0, x1, y1), draw(WORDS.filter(bool)), draw(st.floats(-10, 10))))
    return Layout(draw(st.integers(1, 9999)), draw(st.integers(1, 9999)), tuple(instances), draw(WORDS))


@settings(max_examples=100)
@given(layout=layouts())
@example(
    layout=Layout(1, 1, (Instance(Box(0.1, 0.2, 0.7, 1.0), 'a "cup" of\n\ttea, \u2603 \U0001f375'),), "{}")
)
def test_round_trip(layout: Layout) -> None:
    again = from_json(to_json(layout), layout.width, layout.height)
    assert (again.width, again.height, again.caption) == (layout.width, layout.height, layout.caption)
    assert again.local_descriptions == layout.local_descriptions
    assert [instance.strength for instance in again.instances] == [
        instance.strength for instance in layout.instances
    ]
    for got, want in zip(again.boxes, layout.boxes, strict=True):
        check_box(got, *want)


def test_written_json_is_the_documented_format() -> None:
    layout = Layout(10, 10, (Instance(Box(0.25, 0.5, 0.75, 1.0), "a cup", 0.5),), "a room")
    assert json.loads(to_json(layout)) == {
        "version": 1,
        "caption": "a room",
        "boxes": [{"x": 0.25, "y": 0.5, "w": 0.5, "h": 0.5, "caption": "a cup", "strength": 0.5}],
    }
