"""Layout -> boxes, elements, numbers, masks, SEGS or text -> the same layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.conversions.outputs import LayoutOutputs, layout_outputs
from ifadapter_core.geometry import mask_boxes
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.layout_formats import Linked, linked_masks, read_layout, read_linked

# Words that no reader changes: no blanks around them, and not the Impact Pack's mark of a missing label.
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=20).filter(
    lambda words: words != "A"
)


@st.composite
def layouts(draw: st.DrawFn, fewest: int = 1) -> Layout:
    """Layouts with boxes of at least two pixels, so that rounding keeps one."""
    width, height = draw(st.integers(8, 200)), draw(st.integers(8, 200))
    instances = []
    for _ in range(draw(st.integers(fewest, 6))):
        corners = []
        for size in (width, height):
            first = draw(st.floats(0, 1 - 2 / size))
            corners.append((first, draw(st.floats(first + 2 / size, 1)) if first + 2 / size < 1 else 1.0))
        (x0, x1), (y0, y1) = corners
        strength = draw(st.sampled_from([1.0, 0.5, 0.0, -1.0]))
        instances.append(Instance(Box(x0, y0, x1, y1), draw(WORDS), strength))
    return Layout(width, height, tuple(instances), draw(WORDS))


def read_back(linked: Linked, layout: Layout, *, written: bool = False) -> Layout:
    """What the layout node reads from a link, without any notice. written: the words come as text."""
    words = json.dumps(layout.local_descriptions if written else [])
    read, notices = read_layout(words, layout.width, layout.height, linked)
    assert not notices
    return read


def check_alike(got: Layout, want: Layout, room: float = 1e-9, *, pixels: float = 0.0) -> None:
    """Same number of boxes in the same places. room: in fractions; pixels: in pixels of the canvas."""
    for mine, other in zip(got.boxes, want.boxes, strict=True):
        rooms = (room + pixels / want.width, room + pixels / want.height) * 2
        for edge, expected, allowed in zip(mine, other, rooms, strict=True):
            assert abs(edge - expected) <= allowed


@given(layouts())
def test_boxes_give_the_same_layout(layout: Layout) -> None:
    made = layout_outputs(layout)
    got = read_back(read_linked([made.boxes], layout.width, layout.height), layout)
    check_alike(got, layout, pixels=2e-6)  # numbers so near to a whole pixel are whole
    assert got.local_descriptions == layout.local_descriptions
    assert [each.strength for each in got.instances] == [each.strength for each in layout.instances]


@given(layouts())
def test_each_frame_is_one_box(layout: Layout) -> None:
    made = layout_outputs(layout)
    assert [box for frame in made.frames for box in frame] == made.boxes
    assert all(len(frame) == 1 for frame in made.frames)


@given(layouts())
def test_elements_give_the_same_layout_to_half_a_thousandth(layout: Layout) -> None:
    elements = layout_outputs(layout).elements
    assert all(isinstance(number, int) for element in elements for number in element["bbox"])
    for value in (elements, json.loads(json.dumps({"compositional_deconstruction": {"elements": elements}}))):
        if isinstance(value, list):
            got = read_back(read_linked(value, layout.width, layout.height), layout)
        else:
            got, notices = read_layout(json.dumps(value), layout.width, layout.height)
            assert not notices
        check_alike(got, layout, room=0.0005 + 1e-9)
        assert got.local_descriptions == layout.local_descriptions


@given(layouts())
def test_text_gives_the_same_layout(layout: Layout) -> None:
    got, notices = read_layout(layout_outputs(layout).text, layout.width, layout.height)
    assert not notices
    check_alike(got, layout)
    assert (got.caption, got.local_descriptions) == (layout.caption, layout.local_descriptions)
    assert [each.strength for each in got.instances] == [each.strength for each in layout.instances]


@given(layouts())
def test_numbers_give_the_same_boxes_to_half_a_pixel(layout: Layout) -> None:
    numbers = layout_outputs(layout).numbers
    assert all(isinstance(number, int) for row in numbers for number in row)
    linked = read_linked(numbers, layout.width, layout.height, "xywh")
    assert all("fit xywh and xyxy" in notice for notice in linked.notices)  # numbers alone do not say it
    got = read_back(linked._replace(notices=[]), layout, written=True)
    check_alike(got, layout, pixels=0.5)


@given(layouts())
def test_masks_give_the_same_boxes_to_half_a_pixel(layout: Layout) -> None:
    masks = layout_outputs(layout).masks
    assert masks.shape == (len(layout.instances), layout.height, layout.width)
    check_alike(read_back(linked_masks(mask_boxes(masks)), layout, written=True), layout, pixels=0.5)


@given(layouts())
def test_segments_give_the_same_layout_to_half_a_pixel(layout: Layout) -> None:
    segs = ((layout.height, layout.width), layout_outputs(layout).segments)
    got = read_back(read_linked(segs, layout.width, layout.height), layout)
    check_alike(got, layout, pixels=0.5)
    assert got.local_descriptions == layout.local_descriptions


@given(layouts(), st.booleans(), st.integers(-10, 40), st.integers(0, 10))
def test_segments_hold_the_masks_around_their_boxes(
    layout: Layout, visible: bool, grow: int, feather: int
) -> None:
    made = layout_outputs(layout, visible=visible, grow=grow, feather=feather)
    for segment, mask in zip(made.segments, made.masks, strict=True):
        left, top, right, bottom = segment.crop_region
        x0, y0, x1, y1 = segment.bbox
        assert 0 <= left <= x0 < x1 <= right <= layout.width
        assert 0 <= top <= y0 < y1 <= bottom <= layout.height
        assert segment.cropped_mask.shape == (bottom - top, right - left)
        assert (segment.cropped_mask == mask[top:bottom, left:right].numpy()).all()
        assert segment.cropped_mask.sum() == pytest.approx(mask.sum().item())  # nothing of it is cut off
        if grow <= 0:
            assert right - left == min(3 * (x1 - x0), layout.width)


@given(layouts())
def test_the_masks_of_the_outputs_do_not_change_boxes_and_texts(layout: Layout) -> None:
    plain, changed = layout_outputs(layout), layout_outputs(layout, visible=True, grow=3, feather=2)

    def without_masks(made: LayoutOutputs) -> tuple[Any, ...]:
        return made.boxes, made.frames, made.elements, made.numbers, made.descriptions, made.text

    assert without_masks(plain) == without_masks(changed)


def test_boxes_are_what_the_hosts_box_editor_writes() -> None:
    layout = Layout(1000, 500, (Instance(Box(0.1, 0.2, 0.4, 0.6), "a green sofa"),))
    assert layout_outputs(layout).boxes == [
        {
            "x": 100,
            "y": 100,
            "width": 300,
            "height": 200,
            "label": "a green sofa",
            "metadata": {"type": "obj", "text": "", "desc": "a green sofa", "palette": []},
        }
    ]
    numbers = [
        value for box in layout_outputs(layout).boxes for value in box.values() if value != box["label"]
    ]
    assert all(type(number) is int for number in numbers if not isinstance(number, dict))


def test_boxes_under_one_thousandth_have_one_in_elements() -> None:
    thin = Layout(
        8000, 8000, tuple(Instance(Box(x, 0, x + 2 / 8000, 1), "") for x in (0.0, 0.5, 1 - 2 / 8000))
    )
    assert [element["bbox"] for element in layout_outputs(thin).elements] == [
        [0, 0, 1000, 1],
        [0, 500, 1000, 501],
        [0, 999, 1000, 1000],
    ]


def test_an_empty_layout_gives_one_empty_mask_and_says_so() -> None:
    made = layout_outputs(Layout(16, 8, (), "a room"))
    assert made.masks.shape == (1, 8, 16)
    assert not made.masks.any()
    assert (made.boxes, made.frames, made.elements, made.numbers, made.segments) == ([], [[]], [], [], [])
    assert made.descriptions == [""]
    assert read_layout(made.text, 16, 8).layout == Layout(16, 8, (), "a room")
    (notice,) = made.notices
    assert "no instances" in notice


@pytest.mark.parametrize(("visible", "notices"), [(False, 0), (True, 1)])
def test_a_hidden_box_is_said(visible: bool, notices: int) -> None:
    behind, front = Instance(Box(0.25, 0.25, 0.5, 0.5), "a cup"), Instance(Box(0, 0, 0.75, 0.75), "a table")
    made = layout_outputs(Layout(16, 16, (behind, front)), visible=visible)
    assert len(made.notices) == notices
    assert all(notice.startswith("Box 1: completely hidden") for notice in made.notices)
    assert made.masks[0].any() != visible
    assert len(made.segments) == 2


@pytest.mark.parametrize(("grow", "shrunk"), [(-4, ""), (-5, "Box 2:"), (-500, "Box 1, 2:"), (500, "")])
def test_a_box_that_is_shrunk_to_a_pixel_is_said(grow: int, shrunk: str) -> None:
    layout = Layout(100, 50, (Instance(Box(0, 0, 0.5, 1), "a cat"), Instance(Box(0, 0, 0.1, 1), "a pole")))
    notices = layout_outputs(layout, grow=grow).notices
    assert [notice for notice in notices if not (shrunk and notice.startswith(shrunk))] == []
    assert len(notices) == bool(shrunk)


def test_a_box_without_words_has_an_empty_description_and_the_impact_packs_placeholder() -> None:
    layout = Layout(16, 16, (Instance(Box(0, 0, 0.5, 0.5), ""),))
    made = layout_outputs(layout)
    assert made.descriptions == [""]
    assert made.segments[0].label == "A"
    (draft,) = read_linked(((16, 16), made.segments), 16, 16).drafts
    assert draft.description == ""
