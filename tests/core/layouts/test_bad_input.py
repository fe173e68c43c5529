"""Error messages for unusable layouts."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from ifadapter_core.layout import LayoutError
from ifadapter_core.layout_formats import from_json
from layout_json import host_box, own, own_box, read

BAD_TEXT = {
    "not JSON": (
        "a room with a sofa",
        "cannot be read as JSON: it holds no JSON object or list. Expected this pack's format",
    ),
    "cut short": (own(own_box())[:-3], "cannot be read as JSON: it is cut off"),
    "two documents": ("[1] {}", "cannot be read as JSON: it holds 2 different JSON values"),
    "NaN": (own(own_box(x=math.nan)), "Box 1: x must be a finite number, got NaN"),
    "Infinity": (own(own_box(), own_box(w=math.inf)), "Box 2: w must be a finite number, got Infinity"),
    "-Infinity strength": (
        own(own_box(strength=-math.inf)),
        "Box 1: strength must be a finite number, got -Infinity",
    ),
    "NaN in the release's format": (
        '{"annotations": [{"box": [0, NaN, 1, 1], "caption": "a"}]}',
        "Box 1: 'box': y must be a finite number, got NaN",
    ),
    "a huge number": (own(own_box(x=10**400)), "Box 1: x must be a finite number"),
    "an exponent too large": (
        '{"boxes": [{"x": 1e999, "y": 0, "w": 1, "h": 1, "caption": "a"}]}',
        "Box 1: x must be a finite number",
    ),
    "digits without end": (
        own(own_box(x=0)).replace('"x": 0', '"x": ' + "9" * 10000),
        "Box 1: x must be a finite",
    ),
    "left of the canvas": (
        own(own_box(x=-0.1)),
        "Box 1 lies outside the canvas: .* edges are -0.1, 0.2, 0.2, 0.6, read as fractions",
    ),
    "above the canvas": (own(own_box(y=-0.1)), "Box 1 lies outside the canvas"),
    "right of the canvas": (
        own(own_box(), own_box(x=0.8)),
        "Box 2 lies outside the canvas: .* edges are 0.8, 0.2, 1.1, 0.6",
    ),
    "below the canvas": (own(own_box(h=0.81)), "Box 1 lies outside the canvas: .* 0.1, 0.2, 0.4, 1.01"),
    "pixels for fractions": (
        own(own_box(100, 100, 200, 200)),
        'The numbers would fit as pixels or thousandths: add "units": "pixels" to the layout',
    ),
    "sums that overflow": (own(own_box(x=1e308, w=1e308)), "Box 1 lies outside the canvas"),
    "zero width": (own(own_box(w=0)), "Box 1 is inverted or has no area: .* 0.1, 0.2, 0.1, 0.6"),
    "zero height": (own(own_box(h=0.0)), "Box 1 is inverted or has no area: .* 0.1, 0.2, 0.4, 0.2"),
    "negative width": (own(own_box(w=-0.05)), "Box 1 is inverted or has no area"),
    "zero size in the release's format": (
        '{"annotations": [{"box": [5, 5, 0, 9], "caption": "a"}]}',
        "Box 1 is inverted or has no area",
    ),
    "swapped corners of an element": (
        '[{"type": "obj", "bbox": [500, 0, 100, 900], "desc": "a"}]',
        "Box 1 is inverted or has no area: .* 0, 500, 900, 100, read as thousandths",
    ),
    "empty caption": (
        own(own_box(), own_box(caption="")),
        "Box 2 has no local description. Write what should appear",
    ),
    "blank caption": (own(own_box(caption=" \n")), "Box 1 has no local description"),
    "no caption": (own({"x": 0, "y": 0, "w": 1, "h": 1}), "Box 1 has no local description"),
    "misspelt caption": (
        own({"x": 0, "y": 0, "w": 1, "h": 1, "captoin": "a sofa"}),
        r'Box 1 has no local description.* "captoin" of box 1 \(did you mean "caption"\?\)\.$',
    ),
    "null caption": (own(own_box(caption=None)), "Box 1 has no local description"),
    "caption list of none": (own(own_box(caption=[])), "Box 1 has no local description"),
    "caption list of two": (own(own_box(caption=["a", "b"])), "Box 1: caption must be text, got a list"),
    "caption number": (own(own_box(caption=5)), r"Box 1: caption must be text, got a number \(5\)"),
    "caption object": (own(own_box(caption={"a": 1})), "Box 1: caption must be text, got an object"),
    "global caption number": (own(own_box(), caption=5), r"caption must be text, got a number \(5\)"),
    "global caption list": ('{"annotations": [], "caption": ["a"]}', "caption must be text, got a list"),
    "101 instances": (own(*[own_box()] * 101), "The layout has 101 instances; at most 100 are supported"),
    "500 instances": (own(*[own_box()] * 500), "The layout has 500 instances; at most 100 are supported"),
    "a number": ("5", r"The layout is a number \(5\) of no known format. Expected"),
    "null": ("null", "The layout is nothing of no known format"),
    "true": ("true", r"The layout is true/false \(true\) of no known format"),
    "text": ('"a sofa"', "cannot be read as JSON: it holds no JSON object or list"),
    "an empty object": ("{}", r"The layout is an object \({}\) of no known format"),
    "another object": ('{"regions": []}', "The layout is an object .* of no known format"),
    "boxes object": ('{"boxes": {"x": 1}}', "'boxes' must be a list, got an object"),
    "annotations null": ('{"annotations": null}', "'annotations' must be a list, got nothing"),
    "box number": ('{"boxes": [1]}', r"Box 1 must be an object with named numbers, got a number \(1\)"),
    "box text in own format": (
        own(own_box(), "a sofa"),
        "Box 2 has a local description but no box",
    ),
    "list of numbers": ("[1, 2]", "Box 1 must be an object with named numbers, got a number"),
    "list of lists": ("[[0, 0, 1, 1]]", r"a list of bare numbers \(a list \(\[0, 0, 1, 1\]\)\)"),
    "annotation null": ('{"annotations": [null]}', "Box 1 must be an object with named numbers, got nothing"),
    "x text": (
        own(own_box(x="0.1")),
        r'Box 1: x must be a number, got text \("0.1"\)\. Write it without the quotation marks\.$',
    ),
    "x true": (own(own_box(x=True)), "Box 1: x must be a number, got true/false"),
    "h null": (own(own_box(h=None)), "Box 1: h must be a number, got nothing"),
    "strength text": (own(own_box(strength="1")), "Box 1: strength must be a number, got text"),
    "long text is cut": (
        own(own_box(x="a" * 500)),
        r'Box 1: x must be a number, got text \("a{29}\.\.\)\.$',
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
        "Box 1 has no local description",
    ),
    "host box desc number": (
        json.dumps([host_box(metadata={"desc": 5})]),
        "Box 1: desc must be text, got a number",
    ),
    "host box outside": (
        json.dumps([host_box(x=900, label="a")]),
        "Box 1 lies outside the canvas: .* 900, 50, 1200, 250, read as pixels of 1000 x 500",
    ),
    "release box of three": (
        '{"annotations": [{"box": [1, 2, 3], "caption": "a"}]}',
        r"Box 1: 'box' must be \[x, y, width, height\], got a list",
    ),
    "release box missing": (
        '{"annotations": [{"caption": "a"}]}',
        r"Box 1: 'box' must be \[x, y, width, height\], got nothing",
    ),
    "release box of text": (
        '{"annotations": [{"box": ["1", 2, 3, 4], "caption": "a"}]}',
        "Box 1: 'box': x must be a number, got text",
    ),
    "release canvas of zero": (
        '{"annotations": [], "width": 0}',
        "The canvas is 0 x 768 pixels",
    ),
    "release canvas text": ('{"annotations": [], "height": "768"}', "height must be a number, got text"),
    "element of five": (
        '[{"type": "obj", "bbox": [1, 2, 3, 4, 5], "desc": "a"}]',
        r"Box 1: 'bbox' must be \[ymin, xmin, ymax, xmax\], got a list",
    ),
    "future version": (
        own(own_box(), version=2),
        r"The layout's format version must be 1, got a number \(2\). Update ComfyUI-IFAdapter",
    ),
    "version text": (
        own(own_box(), version="next"),
        r"The layout's format version must be 1, got text \(\"next\"\)",
    ),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text_raises_a_specific_error(case: str) -> None:
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
    "boxes without words": ("", [host_box(label="a"), host_box()], "Box 2 has no local description"),
    "an empty caption among them": ('["a", ""]', [host_box(), host_box()], "Box 2 has no local description"),
    "a dict without its size": ("", {"x": 1, "y": 1}, "Box 1 lacks w, h"),
    "a number": ("", 5, "The linked boxes are a number .* expected a list of boxes"),
    "text": ("", "[]", "The linked boxes are text .* expected a list of boxes"),
    "101 boxes": ("", [host_box(label="a")] * 101, "The layout has 101 instances; at most 100"),
    "NaN": ("", [host_box(x=math.nan, label="a")], "Box 1: x must be a finite number"),
    "a huge number": ("", [host_box(x=10**400, label="a")], "Box 1: x must be a finite number"),
    "bad text beside good boxes": ("{", [host_box(label="a")], "cannot be read as JSON"),
}


@pytest.mark.parametrize("case", BAD_LINKS)
def test_bad_linked_boxes_raise_a_specific_error(case: str) -> None:
    text, boxes, message = BAD_LINKS[case]
    with pytest.raises(LayoutError, match=f"(?s){message}"):
        read(text, boxes)


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-1, 10)])
def test_canvas_without_size_is_rejected(size: tuple[int, int]) -> None:
    with pytest.raises(
        LayoutError, match=r"The canvas is -?\d+ x \d+ pixels; give a width and a height of at least 1"
    ):
        from_json("", *size)


@pytest.mark.parametrize("text", [None, 5, b"[]"])
def test_layout_must_be_text(text: Any) -> None:
    with pytest.raises(LayoutError, match="The layout must be JSON text, got"):
        read(text)


@pytest.mark.parametrize("value", [["a"], json.loads(own(own_box()))])
def test_parsed_json_is_refused_with_the_way_to_send_it(value: Any) -> None:
    with pytest.raises(LayoutError, match=r"must be JSON text, got .* Send it as text: .*json\.dumps"):
        read(value)


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 990, 1000, 2000, 10000, 100000])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"boxes": [', "]}"), ('{"boxes": [{"x": ', "}]}"), ('{"annotations": [{"box": [', "]}]}")],
)
def test_deep_nesting_is_rejected(depth: int, opening: str, closing: str) -> None:
    with pytest.raises(LayoutError):
        read(opening * depth + "0" + closing * depth)


def test_nesting_close_to_the_recursion_limit_is_rejected() -> None:
    """Such text can be parsed, but may be too deep to be printed in the message."""
    for depth in range(800, 1000):
        with pytest.raises(LayoutError):
            read("[" * depth + "0" + "]" * depth)


def test_error_names_very_deep_nesting() -> None:
    with pytest.raises(LayoutError, match="nested too deeply"):
        read("[" * 200000)


@pytest.mark.parametrize("depth", [100, 900, 2000, 20000])
def test_deep_nesting_in_linked_boxes_is_rejected(depth: int) -> None:
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(LayoutError):
        read("", [{"type": "obj", "bbox": nested, "desc": "a"}])


def test_linked_number_too_long_to_print_is_rejected() -> None:
    for boxes in (
        [{"type": "obj", "bbox": [10**5000], "desc": "a"}],
        [host_box(label=10**5000)],
        [10**5000],
        10**5000,
    ):
        with pytest.raises(LayoutError):
            read("", boxes)


def test_errors_count_hidden_boxes() -> None:
    hidden = {"hidden": True}  # the editor sends nothing else for hidden boxes
    for bad in (own_box(x="text"), own_box(caption=""), own_box(w=0), own_box(x=5)):
        with pytest.raises(LayoutError, match=r"Box 3[: ]"):
            read(own(hidden, own_box(), bad))


@pytest.mark.parametrize("units", ["miles", "", 5, ["pixels"]])
def test_unknown_units_are_rejected(units: Any) -> None:
    with pytest.raises(LayoutError, match="The node's units must be one of fractions, pixels, percent"):
        from_json("[]", 10, 10, units=units)
