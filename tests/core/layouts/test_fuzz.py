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


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 4:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
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
        return {rng.choice(names): random_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return (rng.choice(NUMBERS), rng.choice(WORDS), None, rng.random())[kind]


def mutate(rng: random.Random, value: Any) -> Any:
    """A copy with random parts replaced, removed, duplicated or renamed."""
    if rng.random() < 0.06:
        return random_value(rng)
    if isinstance(value, dict):
        kept = {key: mutate(rng, part) for key, part in value.items() if rng.random() > 0.04}
        return {key + "_" * (rng.random() < 0.02): part for key, part in kept.items()}
    if isinstance(value, list):
        parts = [mutate(rng, part) for part in value if rng.random() > 0.04]
        return parts * rng.choice((1, 1, 1, 1, 2, 60)) if parts and rng.random() < 0.1 else parts
    return value


def mutate_text(rng: random.Random, text: str) -> str:
    """A copy with random characters inserted or removed, or the end cut off."""
    for _ in range(rng.randrange(4)):
        position = rng.randrange(len(text) + 1)
        text = rng.choice(
            (
                text[:position],
                text[:position] + text[position + 1 :],
                text[:position] + rng.choice('{}[]",:0-e\\u\x00\u2028') + text[position:],
            )
        )
    return text


def assert_is_a_reason(message: str) -> None:
    assert len(message) > 20
    assert message.endswith(".")


def is_valid_layout(text: str) -> bool:
    """Whether text is a layout. Fails unless it gives a valid layout or a LayoutError with a reason."""
    try:
        layout = from_json(text, 640, 384)
    except LayoutError as error:
        assert_is_a_reason(str(error))
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
        assert_equals_json(layout, data)
    return True


def assert_equals_json(layout: Layout, data: dict) -> None:
    """Compare a layout with its JSON in our own format, box by box."""
    shown = [entry for entry in data["boxes"] if not entry.get("hidden", False)]
    assert len(shown) == len(layout.instances)
    assert layout.caption == data.get("caption", "").strip()
    for entry, instance in zip(shown, layout.instances, strict=True):
        given = (entry["x"], entry["y"], entry["x"] + entry["w"], entry["y"] + entry["h"])
        assert all(abs(a - b) <= 1.001e-3 for a, b in zip(given, instance.box, strict=True))
        words = entry["caption"] if isinstance(entry["caption"], str) else entry["caption"][0]
        assert instance.local_description == words.strip()
        assert instance.strength == entry.get("strength", 1.0)


def test_100_000_mutated_layouts() -> None:
    rng = random.Random(0)
    valid = 0
    for number in range(LAYOUTS):
        start = (OWN, RELEASE, BOXES, ELEMENTS)[number % 4]
        text = json.dumps(mutate(rng, start), ensure_ascii=number % 8 < 4)
        valid += is_valid_layout(mutate_text(rng, text) if rng.random() < 0.3 else text)
    assert 0.1 * LAYOUTS < valid < 0.9 * LAYOUTS  # both outcomes are frequent


@pytest.mark.parametrize("count", [101, 10_000])
def test_too_many_boxes(count: int) -> None:
    with pytest.raises(LayoutError, match=f"{count} instances; at most 100"):
        from_json(json.dumps({**OWN, "boxes": OWN["boxes"][:1] * count}), 640, 384)
