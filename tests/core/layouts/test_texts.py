"""Layout texts with a known answer. tests/web/layout_formats.test.js reads the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ifadapter_core.formats.json_text import REPAIRS, read_json_text
from ifadapter_core.layout import LayoutError
from ifadapter_core.layout_formats import FORMATS, read_layout

CASES = json.loads((Path(__file__).parents[2] / "layout_texts.json").read_text("utf-8"))["cases"]
READ = [case for case in CASES if "boxes" in case["expect"]]
REFUSED = [case for case in CASES if "error_names" in case["expect"]]


def name_of(case: dict[str, Any]) -> str:
    return case["name"]


@pytest.mark.parametrize("case", READ, ids=name_of)
def test_text_is_read(case: dict[str, Any]) -> None:
    layout, notices = read_layout(case["text"], case["width"], case["height"])
    expected = case["expect"]
    assert layout.caption == expected["caption"]
    assert layout.local_descriptions == expected["descriptions"]
    assert [list(box) for box in layout.boxes] == [pytest.approx(box, abs=1e-9) for box in expected["boxes"]]
    assert [instance.strength for instance in layout.instances] == case.get(
        "strengths", [1] * len(layout.boxes)
    )
    said = ([case["repairs"]] if case["repairs"] else []) + case.get("notices", [])
    assert len(notices) == len(said), notices
    for notice, words in zip(notices, said, strict=True):
        assert not [word for word in words if word not in notice], notice


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_text_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(LayoutError) as refusal:
        read_layout(case["text"], case["width"], case["height"])
    message = str(refusal.value)
    assert not [word for word in case["expect"]["error_names"] if word.lower() not in message.lower()], (
        message
    )
    assert len(message) < 1500


def test_cases_cover_every_format_and_repair() -> None:
    assert len(READ) + len(REFUSED) == len(CASES) >= 80
    said = {notice for case in READ for notice in case["repairs"]}
    assert all(any(words in repair for words in said) for repair in REPAIRS)
    values = [read_json_text(case["text"]).value for case in READ if case["text"].strip()]
    assert all(any(each.matches(value) for value in values) for each in FORMATS)
