"""Details of the layout formats, and the round trip. test_texts.py has a text in each format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ifadapter_core.formats.entries import MAX_STRENGTH, MIN_STRENGTH
from ifadapter_core.formats.fields import INVISIBLE, WHITE
from ifadapter_core.layout import MAX_INSTANCES, Box, Instance, Layout, LayoutError
from ifadapter_core.layout_formats import from_json, to_json
from layout_json import HEIGHT, WIDTH, check_box, host_box, own, own_box, read


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


@pytest.mark.parametrize("caption", ["\u200b", " \u2060\ufe0f\n", "\x00\U000e0041", "\u3164"])
def test_invisible_characters_are_no_description(caption: str) -> None:
    with pytest.raises(LayoutError, match="Box 1 has no local description"):
        read(own(own_box(caption=caption)))


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


def test_box_elements_are_in_thousandths_y_first() -> None:
    elements = [
        {"type": "obj", "bbox": [100, 200, 500, 1000], "desc": "a cup"},
        {"type": "text", "bbox": [0, 0, 1000, 1000], "text": "a wall"},
    ]
    layout = read(json.dumps(elements))
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[0], 0.2, 0.1, 1.0, 0.5)
    check_box(layout.boxes[1], 0, 0, 1, 1)


def test_single_box_element() -> None:
    element = {"type": "obj", "bbox": [0, 250, 500, 750], "desc": "a cup"}
    check_box(read(json.dumps(element)).boxes[0], 0.25, 0, 0.75, 0.5)


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


SMALLEST = 64  # side of a canvas in pixels


def edges() -> st.SearchStrategy[tuple[float, float]]:
    return (
        st.tuples(st.floats(0, 1), st.floats(0, 1))
        .map(lambda pair: (min(pair), max(pair)))
        .filter(lambda pair: pair[1] - pair[0] > 1 / SMALLEST)
    )


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: "" if INVISIBLE.fullmatch(text) else text.strip(WHITE)
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    instances = []
    for _ in range(draw(st.integers(0, 6))):
        (x0, x1), (y0, y1) = draw(edges()), draw(edges())
        instances.append(
            Instance(
                Box(x0, y0, x1, y1), draw(WORDS.filter(bool)), draw(st.floats(MIN_STRENGTH, MAX_STRENGTH))
            )
        )
    return Layout(
        draw(st.integers(SMALLEST, 9999)), draw(st.integers(SMALLEST, 9999)), tuple(instances), draw(WORDS)
    )


@settings(max_examples=100)
@given(layout=layouts())
@example(
    layout=Layout(8, 8, (Instance(Box(0.1, 0.2, 0.7, 1.0), 'a "cup" of\n\ttea, \u2603 \U0001f375'),), "{}")
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
