"""Fuzzing: mutated layouts from a fixed seed."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from ifadapter_core.layout import MAX_INSTANCES, Layout, LayoutError
from ifadapter_core.layout_formats import from_json

LAYOUTS = 100_000


WORDS = (
    "a cat",
    "",
    " ",
    "\u732b",
    "\U0001f600" * 3,
    "a\x00b",
    "\ud800",
    "<script>alert(1)</script>",
    '"',
    "x" * 5000,
)
NUMBERS = (
    0,
    1,
    -1,
    0.5,
    1e308,
    -1e308,
    1e-320,
    10**400,
    float("nan"),
    float("inf"),
    2**63,
    True,
    0.1 + 0.2,
    -0.0,
)
OWN = {
    "version": 1,
    "caption": "two things",
    "boxes": [
        {"x": 0.1, "y": 0.2, "w": 0.5, "h": 0.5, "caption": "a red chair", "strength": 0.8, "locked": True},
        {"x": 0.5, "y": 0.5, "w": 0.5, "h": 0.25, "caption": "a blue lamp", "hidden": False},
    ],
}
RELEASE = {
    "caption": "a room",
    "annotations": [
        {"box": [10, 20, 300, 400], "caption": ["a chair", "a seat"]},
        {"box": [0, 0, 9, 9], "caption": "x"},
    ],
}
BOXES = [
    {"x": 1, "y": 2, "width": 30, "height": 40, "metadata": {"desc": "a lamp"}},
    {"x": 0, "y": 0, "width": 9, "height": 9, "label": "b"},
]
ELEMENTS = [{"bbox": [0, 0, 500, 1000], "desc": "sky"}, {"bbox": [500, 0, 1000, 1000], "desc": "sea"}]


def any_value(lot: random.Random, depth: int = 0) -> Any:
    kind = lot.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [any_value(lot, depth + 1) for _ in range(lot.randrange(4))]
    if kind == 5:
        names = (
            "x",
            "y",
            "w",
            "h",
            "caption",
            "boxes",
            "annotations",
            "bbox",
            "box",
            "version",
            "width",
            "height",
            "hidden",
            "strength",
        )
        return {lot.choice(names): any_value(lot, depth + 1) for _ in range(lot.randrange(4))}
    return (lot.choice(NUMBERS), lot.choice(WORDS), None, lot.random())[kind]


def spoilt(lot: random.Random, value: Any) -> Any:
    """A copy in which parts are replaced, left out, doubled or renamed."""
    if lot.random() < 0.06:
        return any_value(lot)
    if isinstance(value, dict):
        kept = {key: spoilt(lot, part) for key, part in value.items() if lot.random() > 0.04}
        return {key + "_" * (lot.random() < 0.02): part for key, part in kept.items()}
    if isinstance(value, list):
        parts = [spoilt(lot, part) for part in value if lot.random() > 0.04]
        return parts * lot.choice((1, 1, 1, 1, 2, 60)) if parts and lot.random() < 0.1 else parts
    return value


def spoilt_text(lot: random.Random, text: str) -> str:
    """A copy with some characters replaced, left out or cut off."""
    for _ in range(lot.randrange(4)):
        place = lot.randrange(len(text) + 1)
        text = lot.choice(
            (
                text[:place],
                text[:place] + text[place + 1 :],
                text[:place] + lot.choice('{}[]",:0-e\\u\x00\u2028') + text[place:],
            )
        )
    return text


def check(text: str) -> bool:
    """Whether it is a layout; every other outcome than a sound layout or a LayoutError with a reason is a failure."""
    try:
        layout = from_json(text, 640, 384)
    except LayoutError as error:
        assert len(str(error)) > 20
        assert str(error).endswith(".")
        return False
    assert len(layout.instances) <= MAX_INSTANCES
    for instance in layout.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert instance.local_description.strip()
        assert math.isfinite(instance.strength)
    data = json.loads(text) if text.strip() else []
    if isinstance(data, dict) and "boxes" in data and "annotations" not in data:
        assert_nothing_changed(layout, data)
    return True


def assert_nothing_changed(layout: Layout, data: dict) -> None:
    """What our own format says is what the layout holds, box for box."""
    shown = [entry for entry in data["boxes"] if not entry.get("hidden", False)]
    assert len(shown) == len(layout.instances)
    assert layout.caption == data.get("caption", "").strip()
    for entry, instance in zip(shown, layout.instances, strict=True):
        told = (entry["x"], entry["y"], entry["x"] + entry["w"], entry["y"] + entry["h"])
        assert all(abs(a - b) <= 1.001e-3 for a, b in zip(told, instance.box, strict=True))
        words = entry["caption"] if isinstance(entry["caption"], str) else entry["caption"][0]
        assert instance.local_description == words.strip()
        assert instance.strength == entry.get("strength", 1.0)


def test_a_hundred_thousand_layouts() -> None:
    lot = random.Random(0)
    sound = 0
    for number in range(LAYOUTS):
        start = (OWN, RELEASE, BOXES, ELEMENTS)[number % 4]
        text = json.dumps(spoilt(lot, start), ensure_ascii=number % 8 < 4)
        sound += check(spoilt_text(lot, text) if lot.random() < 0.3 else text)
    assert 0.1 * LAYOUTS < sound < 0.9 * LAYOUTS  # both happen often


@pytest.mark.parametrize("count", [101, 10_000])
def test_too_many_boxes(count: int) -> None:
    with pytest.raises(LayoutError, match=f"{count} instances; at most 100"):
        from_json(json.dumps({**OWN, "boxes": OWN["boxes"][:1] * count}), 640, 384)
