"""The layout: every accepted format, the round trip, and what is said about bad input."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ifadapter_core.layout import MAX_INSTANCES, Box, Instance, Layout, LayoutError
from ifadapter_core.layout_formats import from_json, named_boxes, to_json

WIDTH, HEIGHT = 1000, 500


def own(*boxes: Any, **rest: Any) -> str:
    return json.dumps({"boxes": list(boxes), **rest})


def own_box(
    x: Any = 0.1, y: Any = 0.2, w: Any = 0.3, h: Any = 0.4, caption: Any = "a green sofa", **rest: Any
) -> dict[str, Any]:
    return {"x": x, "y": y, "w": w, "h": h, "caption": caption, **rest}


def host_box(x: Any = 100, y: Any = 50, width: Any = 300, height: Any = 200, **rest: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **rest}


def read(text: str, boxes: Any = None) -> Layout:
    return from_json(text, WIDTH, HEIGHT, boxes)


def check_box(got: Box, *want: float) -> None:
    assert tuple(got) == pytest.approx(want, abs=1e-12)


# Boxes of bare numbers


@pytest.mark.parametrize(
    ("bbox_format", "numbers"), [("xywh", (100, 50, 300, 200)), ("xyxy", (100, 50, 400, 250))]
)
@pytest.mark.parametrize(
    "nest", [lambda box: box, lambda box: [box], lambda box: [list(box)] * 4, lambda box: [[box, box]]]
)
def test_bare_numbers_get_names(bbox_format: str, numbers: tuple[int, ...], nest: Any) -> None:
    assert named_boxes(nest(numbers), bbox_format) == json.loads(
        json.dumps(nest(numbers)).replace(str(list(numbers)), json.dumps(host_box()))
    )


@pytest.mark.parametrize(
    "value", [None, [], host_box(), [host_box(label="cat")], [[]], {"boxes": []}, ["a sofa"], [1, 2, 3]]
)
def test_what_is_not_four_numbers_stays_as_it_is(value: Any) -> None:
    assert named_boxes(value, "xywh") == value


def test_numbers_that_are_no_box_in_the_format_are_refused_with_the_way_out() -> None:
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


# Accepted formats


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


def test_own_format_without_a_version_or_caption() -> None:
    layout = read(own(own_box()))
    assert (layout.caption, layout.prompt, len(layout.instances)) == ("", "a green sofa", 1)


def test_hidden_boxes_are_left_out() -> None:
    layout = read(own(own_box(hidden=True), own_box(caption="kept", hidden=False)))
    assert layout.local_descriptions == ["kept"]


def test_release_format_has_pixels_of_a_768_canvas_whatever_ours_is() -> None:
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


def test_of_several_captions_in_the_release_format_the_first_is_read() -> None:
    layout = read(
        json.dumps(
            {"annotations": [{"box": [0, 0, 384, 768], "caption": ["a green sofa", "a sofa in green"]}]}
        )
    )
    assert layout.local_descriptions == ["a green sofa"]


def test_release_format_may_name_its_own_canvas() -> None:
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
def test_linked_bounding_boxes_have_pixels_of_this_canvas(form: str) -> None:
    layout = read("", HOST_FORMS[form])
    assert layout.local_descriptions == ["a green sofa"]
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


@pytest.mark.parametrize("form", ["a dict", "a list"])
def test_bounding_boxes_may_be_the_text_itself(form: str) -> None:
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
def test_the_description_of_a_bounding_box_is_found_in_its_metadata_or_beside_it(
    words: dict[str, Any],
) -> None:
    assert read("", [host_box(**words)]).local_descriptions == ["a cup"]


@pytest.mark.parametrize("as_text", [True, False])
def test_box_elements_have_thousandths_y_first(as_text: bool) -> None:
    elements = [
        {"type": "obj", "bbox": [100, 200, 500, 1000], "desc": "a cup"},
        {"bbox": [0, 0, 1000, 1000], "text": "a wall"},
    ]
    layout = read(json.dumps(elements)) if as_text else read("", elements)
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[0], 0.2, 0.1, 1.0, 0.5)
    check_box(layout.boxes[1], 0, 0, 1, 1)


def test_a_single_box_element() -> None:
    check_box(read(json.dumps({"bbox": [0, 250, 500, 750], "desc": "a cup"})).boxes[0], 0.25, 0, 0.75, 0.5)


def test_linked_boxes_take_the_words_of_a_list_of_strings() -> None:
    layout = read(json.dumps(["a sofa ", "a lamp"]), [host_box(), host_box(x=500)])
    assert layout.local_descriptions == ["a sofa", "a lamp"]
    check_box(layout.boxes[1], 0.5, 0.1, 0.8, 0.5)


def test_linked_boxes_take_the_place_of_the_written_ones() -> None:
    written = own(own_box(caption="a sofa", strength=0.5), own_box(caption="a lamp"), caption="a room")
    layout = read(written, [host_box(), host_box(x=500, metadata={"desc": "a cup"})])
    assert layout.local_descriptions == ["a sofa", "a cup"]
    assert [instance.strength for instance in layout.instances] == [0.5, 1.0]
    assert layout.caption == "a room"
    check_box(layout.boxes[0], 0.1, 0.1, 0.4, 0.5)


@pytest.mark.parametrize("written", ["[]", '["a", "b", "c"]', own(own_box(strength=0.5), own_box())])
def test_linked_boxes_with_words_need_no_written_ones(written: str) -> None:
    linked = [host_box(metadata={"desc": "a cup"}), host_box(x=0, label="a wall")]
    layout = read(written, linked)
    assert layout.local_descriptions == ["a cup", "a wall"]
    check_box(layout.boxes[1], 0, 0.1, 0.3, 0.5)


def test_written_entries_may_have_words_alone_when_boxes_are_linked() -> None:
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
def test_no_instances_is_a_layout(text: str) -> None:
    assert read(text).instances == ()


@pytest.mark.parametrize("boxes", [[], [[]]])
def test_no_linked_boxes_is_a_layout(boxes: Any) -> None:
    assert read("", boxes).instances == ()


def test_as_many_instances_as_allowed() -> None:
    assert MAX_INSTANCES == 100
    assert len(read(own(*[own_box()] * 100)).instances) == 100


@pytest.mark.parametrize("box", [own_box(-0.0005, -0.0005, 1.001, 1.001), own_box(0, 0, 1.0009, 1.0009)])
def test_rounding_at_the_border_is_cut(box: dict[str, Any]) -> None:
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
def test_a_box_of_which_nothing_is_left_after_the_cut_is_refused(box: dict[str, Any]) -> None:
    with pytest.raises(LayoutError, match="Box 1 "):
        read(own(box))


# Round trip


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


def test_our_json_is_the_documented_format() -> None:
    layout = Layout(10, 10, (Instance(Box(0.25, 0.5, 0.75, 1.0), "a cup", 0.5),), "a room")
    assert json.loads(to_json(layout)) == {
        "version": 1,
        "caption": "a room",
        "boxes": [{"x": 0.25, "y": 0.5, "w": 0.5, "h": 0.5, "caption": "a cup", "strength": 0.5}],
    }


# Bad input

BAD_TEXT = {
    "not JSON": (
        "a room with a sofa",
        "The layout is not JSON: Expecting value.*Expected our own format.*release's format",
    ),
    "cut short": (own(own_box())[:-3], "The layout is not JSON"),
    "two documents": ("[] []", "The layout is not JSON: Extra data"),
    "NaN": (own(own_box(x=math.nan)), "Box 1: x must be a finite number, got nan"),
    "Infinity": (own(own_box(), own_box(w=math.inf)), "Box 2: w must be a finite number, got inf"),
    "-Infinity strength": (
        own(own_box(strength=-math.inf)),
        "Box 1: strength must be a finite number, got -inf",
    ),
    "NaN in the release's format": (
        '{"annotations": [{"box": [0, NaN, 1, 1], "caption": "a"}]}',
        "Box 1: 'box' must be .* got nan",
    ),
    "a huge number": (own(own_box(x=10**400)), "Box 1: x must be a finite number"),
    "an exponent too large": (
        '{"boxes": [{"x": 1e999, "y": 0, "w": 1, "h": 1, "caption": "a"}]}',
        "Box 1: x must be a finite number",
    ),
    "digits without end": (
        own(own_box(x=0)).replace('"x": 0', '"x": ' + "9" * 10000),
        "The layout is not JSON|Box 1: x must be a finite",
    ),
    "left of the canvas": (
        own(own_box(x=-0.1)),
        "Box 1 lies outside the canvas: it spans -0.1..0.2 across and 0.2..0.6 down",
    ),
    "above the canvas": (own(own_box(y=-0.1)), "Box 1 lies outside the canvas"),
    "right of the canvas": (
        own(own_box(), own_box(x=0.8)),
        "Box 2 lies outside the canvas: it spans 0.8..1.1 across",
    ),
    "below the canvas": (own(own_box(h=0.81)), "Box 1 lies outside the canvas: .* 0.2..1.01 down"),
    "pixels for fractions": (
        own(own_box(100, 100, 200, 200)),
        "if its numbers are pixels, check the format and the canvas size",
    ),
    "sums that overflow": (own(own_box(x=1e308, w=1e308)), "Box 1 lies outside the canvas"),
    "zero width": (own(own_box(w=0)), "Box 1 has no area: width 0, height 0.4"),
    "zero height": (own(own_box(h=0.0)), "Box 1 has no area: width 0.3, height 0 "),
    "negative width": (own(own_box(w=-0.05)), "Box 1 has no area: width -0.05"),
    "zero size in the release's format": (
        '{"annotations": [{"box": [5, 5, 0, 9], "caption": "a"}]}',
        "Box 1 has no area",
    ),
    "swapped corners of an element": (
        '[{"bbox": [500, 0, 100, 900], "desc": "a"}]',
        "Box 1 has no area: width 0.9, height -0.4",
    ),
    "empty caption": (
        own(own_box(), own_box(caption="")),
        "Box 2 has no local description. Write what should appear",
    ),
    "blank caption": (own(own_box(caption=" \n")), "Box 1 has no local description"),
    "no caption": (own({"x": 0, "y": 0, "w": 1, "h": 1}), "Box 1 has no local description"),
    "null caption": (own(own_box(caption=None)), "Box 1 has no local description"),
    "caption list of none": (own(own_box(caption=[])), "Box 1 has no local description"),
    "caption list of two": (own(own_box(caption=["a", "b"])), "Box 1: caption must be text, got a list"),
    "caption number": (own(own_box(caption=5)), r"Box 1: caption must be text, got a number \(5\)"),
    "caption object": (own(own_box(caption={"a": 1})), "Box 1: caption must be text, got an object"),
    "global caption number": (own(own_box(), caption=5), r"caption must be text, got a number \(5\)"),
    "global caption null": (own(own_box(), caption=None), "caption must be text, got nothing"),
    "global caption list": ('{"annotations": [], "caption": ["a"]}', "caption must be text, got a list"),
    "101 instances": (own(*[own_box()] * 101), "The layout has 101 instances; at most 100 are supported"),
    "500 instances": (own(*[own_box()] * 500), "The layout has 500 instances; at most 100 are supported"),
    "a number": ("5", r"The layout is a number \(5\) of no known format. Expected"),
    "null": ("null", r"The layout is nothing \(None\) of no known format"),
    "true": ("true", r"The layout is true/false \(True\) of no known format"),
    "text": ('"a sofa"', r"The layout is text \('a sofa'\) of no known format"),
    "an empty object": ("{}", r"The layout is an object \({}\) of no known format"),
    "another object": ('{"regions": []}', "The layout is an object .* of no known format"),
    "boxes object": ('{"boxes": {"x": 1}}', "'boxes' must be a list, got an object"),
    "annotations null": ('{"annotations": null}', "'annotations' must be a list, got nothing"),
    "box number": ('{"boxes": [1]}', r"Box 1 must be an object with named numbers, got a number \(1\)"),
    "box text in own format": (
        own(own_box(), "a sofa"),
        r"Box 2 must be an object with named numbers, got text \('a sofa'\)",
    ),
    "list of numbers": ("[1, 2]", "Box 1 must be an object with named numbers, got a number"),
    "list of lists": ("[[0, 0, 1, 1]]", "Box 1 must be an object with named numbers, got a list"),
    "annotation null": ('{"annotations": [null]}', "Box 1 must be an object with named numbers, got nothing"),
    "x text": (own(own_box(x="0.1")), r"Box 1: x must be a number, got text \('0.1'\)"),
    "x true": (own(own_box(x=True)), "Box 1: x must be a number, got true/false"),
    "h null": (own(own_box(h=None)), "Box 1: h must be a number, got nothing"),
    "strength text": (own(own_box(strength="1")), "Box 1: strength must be a number, got text"),
    "strength null": (own(own_box(strength=None)), "Box 1: strength must be a number, got nothing"),
    "long text is cut": (
        own(own_box(x="a" * 500)),
        r"Box 1: x must be a number, got text \('a+\.\.\.a+'\)\.$",
    ),
    "missing x": (own({"y": 0, "w": 1, "h": 1, "caption": "a"}), "Box 1 lacks x; expected x, y, w, h"),
    "missing y": (own({"x": 0, "w": 1, "h": 1, "caption": "a"}), "Box 1 lacks y; expected x, y, w, h"),
    "missing w": (own({"x": 0, "y": 0, "h": 1, "caption": "a"}), "Box 1 lacks w; expected x, y, w, h"),
    "missing w and h": (own({"x": 0, "y": 0, "caption": "a"}), "Box 1 lacks w, h; expected x, y, w, h"),
    "missing all": (
        own({"caption": "a"}),
        "Box 1 has a local description but no box. Give it x, y, w and h, or link boxes",
    ),
    "words alone": ('["a sofa"]', "Box 1 has a local description but no box"),
    "host box without height": (
        '[{"x": 1, "y": 1, "width": 1, "label": "a"}]',
        "Box 1 lacks height; expected x, y, width, height",
    ),
    "host box metadata text": (
        json.dumps([host_box(metadata="a sofa")]),
        "Box 1 must be an object|Box 1: metadata must be an object",
    ),
    "host box desc number": (
        json.dumps([host_box(metadata={"desc": 5})]),
        "Box 1: desc must be text, got a number",
    ),
    "host box outside": (
        json.dumps([host_box(x=900, label="a")]),
        "Box 1 lies outside the canvas: it spans 0.9..1.2 across",
    ),
    "release box of three": (
        '{"annotations": [{"box": [1, 2, 3], "caption": "a"}]}',
        r"Box 1: 'box' must be \[x, y, w, h\] in pixels, got a list",
    ),
    "release box missing": (
        '{"annotations": [{"caption": "a"}]}',
        r"Box 1: 'box' must be \[x, y, w, h\] in pixels, got nothing",
    ),
    "release box of text": (
        '{"annotations": [{"box": ["1", 2, 3, 4], "caption": "a"}]}',
        r"Box 1: 'box' must be .* got text",
    ),
    "release canvas of zero": (
        '{"annotations": [], "width": 0}',
        "The layout's own canvas is 0 x 768 pixels",
    ),
    "release canvas text": ('{"annotations": [], "height": "768"}', "height must be a number, got text"),
    "element of five": (
        '[{"bbox": [1, 2, 3, 4, 5], "desc": "a"}]',
        r"Box 1: 'bbox' must be \[ymin, xmin, ymax, xmax\] in thousandths",
    ),
    "future version": (
        own(own_box(), version=2),
        "The layout has format version 2; this pack reads version 1. Update ComfyUI-IFAdapter",
    ),
    "version text": (
        own(own_box(), version="next"),
        "The layout has format version 'next'; this pack reads version 1",
    ),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text_is_refused_with_a_reason(case: str) -> None:
    text, message = BAD_TEXT[case]
    with pytest.raises(LayoutError, match=f"(?s){message}"):
        read(text)


BAD_LINKS: dict[str, tuple[str, Any, str]] = {
    "several frames": (
        "",
        [[host_box()], [host_box()]],
        "2 frames of boxes are linked; a layout is one picture",
    ),
    "fewer captions than boxes": (
        '["a"]',
        [host_box(), host_box()],
        "2 boxes are linked but the layout text describes 1 instances",
    ),
    "more captions than boxes": (
        '["a", "b", "c"]',
        [host_box()],
        "1 boxes are linked but the layout text describes 3 instances",
    ),
    "captions and no boxes": ('["a"]', [], "0 boxes are linked but the layout text describes 1 instances"),
    "boxes without words": ("", [host_box(label="a"), host_box()], "Box 2 has no local description"),
    "an empty caption among them": ('["a", ""]', [host_box(), host_box()], "Box 2 has no local description"),
    "a dict without its size": ("", {"x": 1, "y": 1}, "The layout is an object .* of no known format"),
    "a number": ("", 5, "The layout is a number .* of no known format"),
    "text": ("", "[]", "The layout is text .* of no known format"),
    "101 boxes": ("", [host_box(label="a")] * 101, "The layout has 101 instances; at most 100"),
    "NaN": ("", [host_box(x=math.nan, label="a")], "Box 1: x must be a finite number"),
    "a huge number": ("", [host_box(x=10**400, label="a")], "Box 1: x must be a finite number"),
    "bad text beside good boxes": ("{", [host_box(label="a")], "The layout is not JSON"),
}


@pytest.mark.parametrize("case", BAD_LINKS)
def test_bad_links_are_refused_with_a_reason(case: str) -> None:
    text, boxes, message = BAD_LINKS[case]
    with pytest.raises(LayoutError, match=f"(?s){message}"):
        read(text, boxes)


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-1, 10)])
def test_a_canvas_has_a_size(size: tuple[int, int]) -> None:
    with pytest.raises(
        LayoutError, match=r"The canvas is -?\d+ x \d+ pixels; give a width and a height of at least 1"
    ):
        from_json("", *size)


@pytest.mark.parametrize("text", [None, 5, b"[]", ["a"]])
def test_the_layout_is_text(text: Any) -> None:
    with pytest.raises(LayoutError, match="The layout must be JSON text, got"):
        read(text)


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 990, 1000, 2000, 10000, 100000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"boxes": [', "]}"), ('{"boxes": [{"x": ', "}]}"), ('{"annotations": [{"box": [', "]}]}")],
)
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(LayoutError):
        read(opening * depth + "0" + closing * depth)


def test_nesting_as_deep_as_the_stack_is_refused() -> None:
    """Text may be shallow enough to be parsed, and yet too deep to be shown in the message."""
    for depth in range(800, 1000):
        with pytest.raises(LayoutError):
            read("[" * depth + "0" + "]" * depth)


def test_very_deep_nesting_is_named() -> None:
    with pytest.raises(LayoutError, match="nested too deeply"):
        read("[" * 200000)


@pytest.mark.parametrize("depth", [100, 900, 2000, 20000])
def test_deep_nesting_in_linked_boxes_is_refused(depth: int) -> None:
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(LayoutError):
        read("", [{"bbox": nested, "desc": "a"}])


def test_a_linked_number_too_long_to_print_is_refused() -> None:
    for boxes in ([{"bbox": [10**5000], "desc": "a"}], [host_box(label=10**5000)], [10**5000], 10**5000):
        with pytest.raises(LayoutError):
            read("", boxes)


def test_boxes_are_named_by_their_number_in_the_text_when_others_are_hidden() -> None:
    hidden = {"hidden": True}  # all that the editor sends of them
    for bad in (own_box(x="text"), own_box(caption=""), own_box(w=0), own_box(x=5)):
        with pytest.raises(LayoutError, match="Box 3[: ]"):
            read(own(hidden, own_box(), bad))


# Anything at all

KEYS = [
    "x",
    "y",
    "w",
    "h",
    "width",
    "height",
    "bbox",
    "box",
    "caption",
    "desc",
    "text",
    "label",
    "metadata",
    "strength",
    "hidden",
]
TOP_KEYS = ["boxes", "annotations", "caption", "version", "width", "height", "bbox"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 1005),
    st.sampled_from([0, 1, 0.5, 0.25, -0.0, 1e-320, 1e308, -1e308, 1.0005, -0.0005, 10**30, 10**400]),
    st.floats(),
    st.floats(-0.002, 1.002),
    st.text(max_size=5),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.sampled_from(KEYS + TOP_KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)
NUMBERS = st.one_of(st.floats(-0.002, 1.002), st.sampled_from([0, 1, 0.5, -0.0009, 0.0005, 1.0004]), SCALARS)
NEAR_BOXES = st.one_of(
    st.fixed_dictionaries(
        {"x": NUMBERS, "y": NUMBERS, "w": NUMBERS, "h": NUMBERS, "caption": st.one_of(st.just("a"), ANYTHING)}
    ),
    st.fixed_dictionaries(
        {"x": NUMBERS, "y": NUMBERS, "width": NUMBERS, "height": NUMBERS},
        optional={"label": st.just("a"), "metadata": ANYTHING},
    ),
    st.fixed_dictionaries(
        {"bbox": st.lists(st.integers(-2, 1002), min_size=4, max_size=4), "desc": st.just("a")}
    ),
    st.fixed_dictionaries(
        {"box": st.lists(st.integers(-2, 770), min_size=4, max_size=4), "caption": st.just("a")}
    ),
    ANYTHING,
)
NEAR_LISTS = st.lists(NEAR_BOXES, max_size=3)
NEAR_LAYOUTS = st.one_of(
    ANYTHING,
    NEAR_LISTS,
    NEAR_BOXES,
    st.fixed_dictionaries(
        {"boxes": NEAR_LISTS}, optional={"version": st.one_of(st.just(1), SCALARS), "caption": SCALARS}
    ),
    st.fixed_dictionaries(
        {"annotations": NEAR_LISTS}, optional={"width": SCALARS, "height": SCALARS, "caption": SCALARS}
    ),
)


def check_sound(layout: Layout) -> None:
    for instance in layout.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert instance.local_description == instance.local_description.strip() != ""
        assert math.isfinite(instance.strength)
    assert len(layout.instances) <= MAX_INSTANCES


@settings(max_examples=300)
@given(value=NEAR_LAYOUTS, width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_any_json_gives_a_sound_layout_or_a_layout_error(value: Any, width: int, height: int) -> None:
    try:
        layout = from_json(json.dumps(value), width, height)
    except LayoutError as error:
        assert str(error)
    else:
        check_sound(layout)


@settings(max_examples=200)
@given(
    boxes=st.one_of(NEAR_LISTS, NEAR_BOXES, st.lists(NEAR_LISTS, max_size=2)),
    value=st.one_of(st.just([]), st.lists(st.text(max_size=3)), NEAR_LAYOUTS),
)
def test_any_link_gives_a_sound_layout_or_a_layout_error(boxes: Any, value: Any) -> None:
    try:
        layout = read(json.dumps(value), boxes)
    except LayoutError:
        return
    check_sound(layout)


@settings(max_examples=100)
@given(text=st.one_of(st.text(), st.text(alphabet='[]{}",:0123456789.eE+-\\u nulltrefasNI')))
def test_any_text_gives_a_sound_layout_or_a_layout_error(text: str) -> None:
    try:
        layout = read(text)
    except LayoutError:
        return
    check_sound(layout)
