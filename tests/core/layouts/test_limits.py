"""Limits on the size of layout texts, and the time that unreadable texts may take."""

from __future__ import annotations

import pytest

from ifadapter_core.layout import LayoutError
from layout_json import own, own_box, read

UNREADABLE = {
    "quotation marks": "{'" * 400_000 + "',",
    "number lists": ("[" + "1," * 9_000) * 99 + "x",
    "brackets": "[" * 1_900_000,
    "braces": "{" * 1_900_000,
    "objects": '{"a":' * 400_000,
    "citations": "[1] " * 450_000,
    "blanks": " " * 1_900_000 + "x",
    "too long": "x" * 2_000_001,
    "entries": '{"boxes": [' + "1," * 900_000 + "1]}",
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_texts_of_the_largest_size_are_refused(kind: str) -> None:
    with pytest.raises(LayoutError) as refusal:
        read(UNREADABLE[kind])
    assert len(str(refusal.value)) < 2000


def test_boxes_are_counted_before_they_are_read() -> None:
    for text in ('{"boxes": [%s]}', "[%s]", '{"annotations": [%s]}', '{"phrases": [], "boxes": [%s]}'):
        with pytest.raises(LayoutError, match="100000 instances; at most 100"):
            read(text % ",".join(["{}"] * 100_000))


def test_description_has_a_limit() -> None:
    assert len(read(own(own_box(caption="a" * 10_000))).local_descriptions[0]) == 10_000
    with pytest.raises(LayoutError, match="Box 2: caption has 10001 characters; at most 10000 are read"):
        read(own(own_box(), own_box(caption="a" * 10_001)))
    with pytest.raises(LayoutError, match="caption has 10001 characters"):
        read(own(own_box(), caption="a" * 10_001))
