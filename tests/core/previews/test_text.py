"""Unusual texts in previews, and text at the edges of the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from font_files import DEJAVU, block_font
from ifadapter_core import previews
from ifadapter_core.drawing import fonts, text
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.previews import layout_picture

HEBREW, CHINESE = "\u05d7\u05ea\u05d5\u05dc", "\u732b"
THUMB, TONE = "\U0001f44d", "\U0001f3fd"
GERMANY, FRANCE = "\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def line_of(words: str) -> np.ndarray:
    """A line of white text on black, from x = 0: (40, 400, 3)."""
    picture = Image.new("RGB", (400, 40))
    text.draw_line(picture, 0, 5, words, 20, (255, 255, 255))
    return np.asarray(picture)


@pytest.mark.parametrize("has_font", [False, True])
@pytest.mark.parametrize(
    "invisible",
    ["\u200b", "\u200c", "\u200d", "\u200e", "\u2060", "\ufeff", "\u00ad", "\u202e", "\ufe0f", "\u3164"],
)
def test_characters_without_a_glyph_are_not_drawn(
    install: Callable[..., None], invisible: str, has_font: bool
) -> None:
    if has_font:
        install(DEJAVU)
    plain = "a cat \u0440" if has_font else "a cat"
    for words in (f"{invisible}{plain}", plain.replace(" ", f" {invisible}"), f"{plain}{invisible}"):
        readable = text.readable(words)
        assert "cannot draw" not in readable
        assert (line_of(readable) == line_of(plain)).all()
    assert text.readable(invisible * 3) == ""


@pytest.mark.parametrize(
    "space", ["\t", "\r", "\r\n", "\n", "\x0b", "\x0c", "\x85", "\u2028", "\u00a0", "\u3000"]
)
def test_white_space_is_a_space(install: Callable[..., None], space: str) -> None:
    assert text.readable(f"a{space}cat").split() == ["a", "cat"]
    assert text.wrap(text.readable(f"a{space}cat"), 20, 400) == ["a cat"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (GERMANY + FRANCE, "[cannot draw 2 characters]"),
        (SCOTLAND, "[cannot draw 1 character]"),
        (THUMB + TONE, "[cannot draw 1 character]"),
        (f"1\ufe0f\u20e3 {THUMB}", "[cannot draw 2 characters]"),
    ],
)
def test_an_emoji_of_several_characters_counts_as_one(
    install: Callable[..., None], given: str, shown: str
) -> None:
    assert text.readable(given).strip() == shown


def test_an_emoji_whose_tone_is_in_no_font_is_drawn_without(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install(block_font(tmp_path / "block.ttf", THUMB))
    assert text.readable(THUMB + TONE) == THUMB
    assert text.readable(f"{THUMB}{TONE} up") == f"{THUMB} up"
    install(block_font(tmp_path / "tones.ttf", THUMB + TONE))
    assert text.readable(THUMB + TONE) == THUMB + TONE


def test_flags_are_not_broken_over_lines(install: Callable[..., None], tmp_path: Path) -> None:
    install(block_font(tmp_path / "block.ttf", GERMANY))
    assert list(fonts.clusters(GERMANY * 3)) == [GERMANY] * 3
    assert all(len(line) % 2 == 0 for line in text.wrap(GERMANY * 9, 20, 70))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (CHINESE * 3000, "[cannot draw 1000 or more characters] ..."),
        (f"{CHINESE * 2} cat {'x' * 3000}", f"[cannot draw 2 characters] cat {'x' * 993}..."),
        (CHINESE * 1000, "[cannot draw 1000 characters]"),
        ("a" * 999 + "e\u0301\u0302", f"{'a' * 999} [cannot draw 1 character]"),
    ],
)
def test_the_count_says_what_was_cut(install: Callable[..., None], given: str, shown: str) -> None:
    assert " ".join(text.readable(given).split()) == shown


@pytest.mark.skipif(not fonts.HAS_LAYOUT_ENGINE, reason="needs a layout engine for right-to-left text")
def test_the_count_keeps_its_order_beside_right_to_left_text(install: Callable[..., None]) -> None:
    """Also where a line ends inside of it: a bracket without its partner would move to the other end."""
    install(DEJAVU)
    readable = text.readable(f"{HEBREW} {CHINESE}")
    ((name, line),) = fonts.runs(readable[: readable.index(" 1")])
    assert name == str(DEJAVU)
    alone, face = Image.new("RGB", (400, 40)), fonts.face(name, 20)
    assert face is not None
    face.draw(alone, 0, 25, "[cannot draw", (255, 255, 255))
    count = slice(0, round(face.length("[cannot draw")))
    assert (line_of(line)[:, count] == np.asarray(alone)[:, count]).all()


@pytest.mark.parametrize(
    "box",
    [
        Box(0.97, 0.1, 1.0, 0.9),
        Box(0.5, 0.97, 1.0, 1.0),
        Box(0.97, 0.97, 1.0, 1.0),
        Box(0.0, 0.0, 0.02, 1.0),
        Box(0.2, 0.2, 0.8, 0.37),
    ],
)
@pytest.mark.parametrize("size", [(512, 512), (120, 40), (40, 700)])
def test_text_stays_inside_of_the_picture_and_above_the_lower_edge_of_its_box(
    monkeypatch: pytest.MonkeyPatch, box: Box, size: tuple[int, int]
) -> None:
    lines: list[tuple[float, float, str, int]] = []

    def record(_picture: Any, left: float, top: float, line: str, font_px: int, _fill: Any) -> None:
        lines.append((left, top, line, font_px))

    monkeypatch.setattr(previews, "draw_line", record)
    layout_picture(Layout(64, 64, (Instance(box, "a striped cat with very long whiskers " * 5),)), size)
    number, *description = lines
    for left, top, line, font_px in lines:
        assert left >= 0
        assert left + text.length(line, font_px) <= size[0]
        assert top >= 0
        assert top + text.LINE_HEIGHT * font_px <= size[1] or (left, top, line, font_px) == number
    for _, top, _, font_px in description:
        below_number = top > number[1]  # a box that is too low for that has its description beside it
        lower_edge = round(box.y1 * size[1]) + 1 if below_number else number[1] + 1.3 * number[3]
        assert top + text.LINE_HEIGHT * font_px <= lower_edge
