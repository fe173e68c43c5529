"""Constants that the editor (JavaScript) and the core (Python) share are equal."""

from __future__ import annotations

import re
from pathlib import Path

from ifadapter_core.formats.annotations import RELEASE_CANVAS_PX
from ifadapter_core.formats.entries import MAX_STRENGTH, MIN_STRENGTH
from ifadapter_core.formats.fields import MAX_TEXT
from ifadapter_core.formats.json_parser import MAX_DEPTH, MAX_PARTS
from ifadapter_core.formats.json_text import MAX_CHARACTERS, MAX_VALUES, MAX_WASTED, REPAIRS
from ifadapter_core.formats.units import UNITS
from ifadapter_core.layout import MAX_INSTANCES
from ifadapter_core.layout_formats import FORMATS
from ifadapter_core.previews import COLOURS

WEB = Path(__file__).parents[2] / "web"
SOURCES = "".join(path.read_text("utf-8") for path in [WEB / "layout_model.js", *WEB.glob("formats/*.js")])


def constant(name: str) -> str:
    found = re.search(rf"^export const {name} = (.+?)(?: //.*)?$", SOURCES, re.MULTILINE)
    assert found, f"web/ has no {name}"
    return found[1]


def test_box_colours_are_equal() -> None:
    assert re.findall(r"#(\w{6})", constant("COLORS")) == [bytes(colour).hex() for colour in COLOURS]


def test_box_limits_are_equal() -> None:
    assert int(constant("MAX_BOXES")) == MAX_INSTANCES


def test_limits_of_the_readers_are_equal() -> None:
    assert int(constant("RELEASE_CANVAS_PX")) == RELEASE_CANVAS_PX
    assert int(constant("MAX_TEXT")) == MAX_TEXT
    assert int(constant("MAX_DEPTH")) == MAX_DEPTH
    assert int(constant("MAX_CHARACTERS")) == MAX_CHARACTERS
    assert int(constant("MAX_WASTED")) == MAX_WASTED
    assert int(constant("MAX_VALUES")) == MAX_VALUES
    assert int(constant("MAX_PARTS")) == MAX_PARTS
    assert (float(constant("MIN_STRENGTH")), float(constant("MAX_STRENGTH"))) == (MIN_STRENGTH, MAX_STRENGTH)
    assert re.findall(r"\w+", constant("UNITS")) == list(UNITS)


def test_words_of_the_readers_are_equal() -> None:
    """Examples of the formats, and the repairs that a notice names."""
    unbroken = re.sub(r"' \+\s+['`]|`\$\{RELEASE_CANVAS_PX\}", "", SOURCES).replace("\\'", "'")
    assert not [repair for repair in REPAIRS if f"'{repair}'" not in unbroken]
    examples = [
        part
        for each in FORMATS
        for part in each.example.removeprefix("a list of boxes, each one of ").split("; ")
    ]
    assert not [part for part in examples if part[:60] not in unbroken]
