"""Layout texts from a link: which text counts, and the hashes that the editor computes as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ifadapter_core.layout import LayoutError
from ifadapter_core.layout_formats import linked_masks, read_layout, to_json
from ifadapter_core.links.texts import counts, text_hash

DATA = json.loads((Path(__file__).parents[2] / "layout_texts.json").read_text("utf-8"))
CANVAS = (1000, 500)
LINKED = '{"boxes": [{"x": 0.5, "y": 0.5, "w": 0.5, "h": 0.5, "caption": "a linked cat"}]}'


def own(**keys: Any) -> str:
    box = {"x": 0, "y": 0, "w": 0.5, "h": 0.5, "caption": "a drawn dog"}
    return json.dumps({"version": 1, "caption": "", "boxes": [box], "units": "fractions", **keys})


def described(text: str, linked_text: str | None) -> list[str]:
    return read_layout(text, *CANVAS, linked_text=linked_text).layout.local_descriptions


@pytest.mark.parametrize("case", DATA["hashes"], ids=lambda case: repr(case["text"][:20]))
def test_hashes_are_those_of_the_editor(case: dict[str, str]) -> None:
    assert text_hash(case["text"]) == case["hash"]


def test_a_linked_text_counts_until_it_is_taken_over_and_again_when_it_changes() -> None:
    assert described(own(), LINKED) == ["a linked cat"]
    taken = own(taken_from=text_hash(LINKED))
    assert described(taken, LINKED) == ["a drawn dog"]
    assert described(taken, LINKED + " ") == ["a linked cat"]
    assert described(taken, None) == ["a drawn dog"]
    assert read_layout(taken, *CANVAS, linked_text=LINKED).notices == ()


@pytest.mark.parametrize("text", ["", "{", '["a dog"]', "taken_from", None, 3])
def test_an_own_text_that_was_not_taken_over_never_hides_the_link(text: Any) -> None:
    assert described(text, LINKED) == ["a linked cat"]


@pytest.mark.parametrize("case", DATA["own_texts"], ids=lambda case: case["name"])
def test_both_readers_find_the_same_texts_taken_over(case: dict[str, Any]) -> None:
    given = case["own"].replace("HASH", text_hash(LINKED))
    assert counts(LINKED, given) is not case["taken"]


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff"])
def test_an_empty_linked_text_is_an_error_until_the_editor_has_replaced_it(text: str) -> None:
    with pytest.raises(LayoutError, match=r"layout_text is empty.*remove the link"):
        read_layout(own(), *CANVAS, linked_text=text)
    assert described(own(taken_from=text_hash(text)), text) == ["a drawn dog"]


@pytest.mark.parametrize("value", [3, ["a"], {"boxes": []}, b"{}"])
def test_a_linked_value_that_is_no_text_is_an_error(value: Any) -> None:
    with pytest.raises(LayoutError, match="layout_text must be text, got"):
        read_layout(own(), *CANVAS, linked_text=value)


@pytest.mark.parametrize(
    "text", ["no layout", "{", '{"boxes": [{"x": 2, "y": 0, "w": 1, "h": 1, "caption": "a"}]}']
)
def test_an_error_of_a_linked_text_names_the_input(text: str) -> None:
    with pytest.raises(LayoutError, match=r"^layout_text: .*(layout|Box 1)"):
        read_layout(own(), *CANVAS, linked_text=text)


def test_a_linked_text_is_read_as_any_layout_text() -> None:
    pixels = '```json\n[{"bbox_2d": [100, 50, 600, 300], "label": "a cat"}]\n```'
    layout, notices = read_layout("", *CANVAS, units="pixels", linked_text=pixels)
    assert layout.boxes == [(0.1, 0.1, 0.6, 0.6)]
    assert "left out the text around" in notices[0]
    sized = '{"width": 500, "height": 250, "units": "pixels", "boxes": [{"x": 50, "y": 25, "w": 250, '
    sized += '"h": 125, "caption": "a cat"}]}'
    assert read_layout("", *CANVAS, linked_text=sized).layout.boxes == layout.boxes


def test_linked_boxes_replace_those_of_a_linked_text_and_that_is_said() -> None:
    masks = linked_masks([(0, 0, 1, 0.5)])
    layout, notices = read_layout(own(), *CANVAS, masks, linked_text=LINKED)
    assert layout.boxes == [(0, 0, 1, 0.5)]
    assert layout.local_descriptions == ["a linked cat"]
    assert notices == ("The boxes come from the linked masks; layout_text gives captions only.",)
    taken = read_layout(own(taken_from=text_hash(LINKED)), *CANVAS, masks, linked_text=LINKED)
    assert (taken.layout.local_descriptions, taken.notices) == (["a drawn dog"], ())


def test_a_written_layout_counts_as_a_linked_text() -> None:
    layout = read_layout(own(), *CANVAS).layout
    assert read_layout("", *CANVAS, linked_text=to_json(layout)).layout == layout
