"""Property tests: any input gives a valid layout or a LayoutError."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ifadapter_core.layout import MAX_INSTANCES, Layout, LayoutError
from ifadapter_core.layout_formats import from_json
from layout_json import read

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


def assert_valid(layout: Layout) -> None:
    for instance in layout.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert instance.local_description == instance.local_description.strip() != ""
        assert math.isfinite(instance.strength)
    assert len(layout.instances) <= MAX_INSTANCES


@settings(max_examples=300)
@given(value=NEAR_LAYOUTS, width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_any_json_gives_a_valid_layout_or_a_layout_error(value: Any, width: int, height: int) -> None:
    try:
        layout = from_json(json.dumps(value), width, height)
    except LayoutError as error:
        reason = str(error)
    else:
        assert_valid(layout)
        reason = "none"
    assert reason


@settings(max_examples=200)
@given(
    boxes=st.one_of(NEAR_LISTS, NEAR_BOXES, st.lists(NEAR_LISTS, max_size=2)),
    value=st.one_of(st.just([]), st.lists(st.text(max_size=3)), NEAR_LAYOUTS),
)
def test_any_linked_boxes_give_a_valid_layout_or_a_layout_error(boxes: Any, value: Any) -> None:
    try:
        layout = read(json.dumps(value), boxes)
    except LayoutError:
        return
    assert_valid(layout)


@settings(max_examples=100)
@given(text=st.one_of(st.text(), st.text(alphabet='[]{}",:0123456789.eE+-\\u nulltrefasNI')))
def test_any_text_gives_a_valid_layout_or_a_layout_error(text: str) -> None:
    try:
        layout = read(text)
    except LayoutError:
        return
    assert_valid(layout)
