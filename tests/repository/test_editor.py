"""Constants that the editor (JavaScript) and the core (Python) share are equal."""

from __future__ import annotations

import re
from pathlib import Path

from ifadapter_core.formats.release import RELEASE_CANVAS_PX
from ifadapter_core.layout import MAX_INSTANCES
from ifadapter_core.previews import COLOURS

MODEL = (Path(__file__).parents[2] / "web" / "layout_model.js").read_text()


def constant(name: str) -> str:
    found = re.search(rf"^export const {name} = (.+?)(?: //.*)?$", MODEL, re.MULTILINE)
    assert found, f"web/layout_model.js has no {name}"
    return found[1]


def test_box_colours_are_equal() -> None:
    assert re.findall(r"#(\w{6})", constant("COLORS")) == [bytes(colour).hex() for colour in COLOURS]


def test_box_limits_are_equal() -> None:
    assert int(constant("MAX_BOXES")) == MAX_INSTANCES


def test_canvases_of_the_release_format_are_equal() -> None:
    assert int(constant("RELEASE_CANVAS_PX")) == RELEASE_CANVAS_PX
