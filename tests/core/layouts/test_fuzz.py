"""Fuzzing: mutated layouts from a fixed seed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ifadapter_core.formats.entries import MAX_STRENGTH, MIN_STRENGTH
from ifadapter_core.formats.fields import WHITE
from ifadapter_core.layout import MAX_INSTANCES, Layout, LayoutError
from ifadapter_core.layout_formats import read_layout
from text_mutations import damaged, reworded, scrambled

TEXTS = 100_000
CANVAS = (1000, 500)
TESTS = Path(__file__).parents[2]
CASES = json.loads((TESTS / "layout_texts.json").read_text("utf-8"))["cases"]
# Layouts on this canvas that need no repair.
VALID = [
    case["text"]
    for case in CASES
    if case.get("repairs") == [] and case["text"][0] in "[{" and (case["width"], case["height"]) == CANVAS
]


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
ELEMENTS = [
    {"type": "obj", "bbox": [0, 0, 500, 1000], "desc": "sky"},
    {"type": "text", "bbox": [500, 0, 1000, 1000], "text": "sea"},
]
DETECTIONS = [{"bbox_2d": [0, 0, 500, 1000], "label": "sky"}, {"box_2d": [500, 0, 999, 999], "label": "sea"}]
PHRASES = {
    "prompt": "a room",
    "phrases": ["a chair", "a lamp"],
    "boxes": [[0, 0, 0.5, 0.5], [0.1, 0.1, 1, 1]],
}
STARTS = (OWN, RELEASE, BOXES, ELEMENTS, DETECTIONS, PHRASES)


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


def assert_is_a_reason(message: str) -> None:
    assert len(message) > 20
    assert message.endswith(".")


def is_valid_layout(text: str, own: bool) -> bool:
    """Whether text is a layout. Fails unless it gives a valid layout or a LayoutError with a reason."""
    try:
        layout, notices = read_layout(text, *CANVAS)
    except LayoutError as error:
        assert_is_a_reason(str(error))
        return False
    assert len(layout.instances) <= MAX_INSTANCES
    for instance in layout.instances:
        x0, y0, x1, y1 = instance.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        assert instance.local_description.strip()
        assert MIN_STRENGTH <= instance.strength <= MAX_STRENGTH
    data = json_of(text) if own and not notices else None
    if isinstance(data, dict) and "boxes" in data:
        assert_equals_json(layout, data)
    return True


def json_of(text: str) -> Any:
    """Parsed JSON; None for other white space than JSON's."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def assert_equals_json(layout: Layout, data: dict) -> None:
    """Compare a layout with its JSON in our own format, box by box."""
    shown = [entry for entry in data["boxes"] if not entry.get("hidden", False)]
    assert len(shown) == len(layout.instances)
    assert layout.caption == (data.get("caption") or "").strip(WHITE)
    for entry, instance in zip(shown, layout.instances, strict=True):
        w, h = (
            entry[short] if short in entry else entry[long]
            for short, long in (("w", "width"), ("h", "height"))
        )
        given = (entry["x"], entry["y"], entry["x"] + w, entry["y"] + h)
        assert all(abs(a - b) <= 1.001e-3 for a, b in zip(given, instance.box, strict=True))
        words = entry["caption"] if isinstance(entry["caption"], str) else entry["caption"][0]
        assert instance.local_description == words.strip(WHITE)
        assert instance.strength == (1.0 if entry.get("strength") is None else entry["strength"])


def some_text(rng: random.Random, number: int) -> str:
    """A valid layout text, changed in a way that depends on the number; our own format if it is a
    multiple of 24."""
    text = rng.choice(VALID)
    if number % 4 == 0:
        text = json.dumps(mutate(rng, STARTS[number // 4 % len(STARTS)]), ensure_ascii=number % 8 < 4)
        return scrambled(rng, text) if rng.random() < 0.3 else text
    if number % 4 == 1:
        return scrambled(rng, text)
    return damaged(rng, text) if number % 4 == 2 else reworded(rng, text)


@pytest.mark.slow
def test_100_000_changed_texts_are_layouts_or_refused() -> None:
    rng = random.Random(0)
    valid = sum(is_valid_layout(some_text(rng, number), own=number % 24 == 0) for number in range(TEXTS))
    assert 0.1 * TEXTS < valid < 0.9 * TEXTS  # both outcomes are frequent


@pytest.mark.slow
def test_a_changed_text_is_read_as_before_or_refused_or_its_repair_is_said() -> None:
    rng = random.Random(1)
    outcomes = Counter()
    for number in range(TEXTS // 2):
        text = rng.choice(VALID)
        before = read_layout(text, *CANVAS).layout
        change = (reworded, damaged)[number % 2]
        changed = change(rng, text)
        if change is damaged and (json_of(changed) is not None or not changed.strip(WHITE)):
            continue  # several changes made another valid text, or left nothing
        try:
            layout, notices = read_layout(changed, *CANVAS)
        except LayoutError:
            outcomes[change.__name__, "refused"] += 1
            continue
        assert layout == before or notices, f"{text!r} -> {changed!r}"
        # Other words around a layout never change it.
        assert layout == before or change is damaged, f"{text!r} -> {changed!r}"
        outcomes[change.__name__, "said" if notices else "as before"] += 1
    assert min(outcomes.values()) > 10
    assert outcomes["reworded", "refused"] < 0.05 * TEXTS


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_python_and_the_editor_read_100_000_changed_texts_alike(tmp_path: Path) -> None:
    rng = random.Random(2)
    texts = [some_text(rng, number) for number in range(TEXTS)]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = ["node", str(TESTS / "web" / "read_layouts.js"), str(tmp_path / "texts.json")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    different = [
        (text, here, there)
        for text, there in zip(texts, json.loads(answer.stdout), strict=True)
        if not are_alike(here := read_here(text), there)
    ]
    assert different[:3] == []


def read_here(text: str) -> dict[str, Any]:
    """What tests/web/read_layouts.js prints, by Python's reader."""
    try:
        layout, notices = read_layout(text, *CANVAS)
    except LayoutError as error:
        return {"error": str(error)}
    return {
        "caption": layout.caption,
        "boxes": [pytest.approx(list(box), abs=1e-9) for box in layout.boxes],
        "descriptions": layout.local_descriptions,
        "strengths": [instance.strength for instance in layout.instances],
        "notices": list(notices),
    }


def are_alike(here: dict[str, Any], there: dict[str, Any]) -> bool:
    """Whether both readers read the same, or refuse in the same words."""
    if "no local description" in here.get(
        "error", ""
    ):  # the editor keeps boxes that are still to be described
        return "error" in there or "" in there["descriptions"]
    return here == there


@pytest.mark.parametrize("count", [101, 10_000])
def test_too_many_boxes(count: int) -> None:
    with pytest.raises(LayoutError, match=f"{count} instances; at most 100"):
        read_layout(json.dumps({**OWN, "boxes": OWN["boxes"][:1] * count}), *CANVAS)
