"""The editor and the core, in two languages, agree on the numbers that both need."""

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


def test_a_box_has_the_same_colour_in_the_editor_and_in_previews() -> None:
    assert re.findall(r"#(\w{6})", constant("COLORS")) == [bytes(colour).hex() for colour in COLOURS]


def test_both_accept_as_many_boxes() -> None:
    assert int(constant("MAX_BOXES")) == MAX_INSTANCES


def test_both_read_the_releases_json_on_the_same_canvas() -> None:
    assert int(constant("RELEASE_CANVAS_PX")) == RELEASE_CANVAS_PX
