"""Preview pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from font_files import DEJAVU, bitmap_font, block_font
from ifadapter_core import previews
from ifadapter_core.drawing import fonts, text
from ifadapter_core.layout import Box, Instance, Layout
from ifadapter_core.previews import BACKGROUND, COLOURS, layout_picture, ownership_picture
from ifadapter_core.semantic_map import SemanticMap
from ifadapter_core.tokens import InstanceTokens

CHINESE, JAPANESE, KOREAN = "\u4e00\u53ea\u732b", "\u8d64\u3044\u732b", "\ube68\uac04 \uace0\uc591\uc774"
CYRILLIC, ARABIC, FRENCH = (
    "\u0440\u044b\u0436\u0438\u0439 \u043a\u043e\u0442",
    "\u0642\u0637\u0629 \u062d\u0645\u0631\u0627\u0621",
    "caf\u00e9",
)
CAT, FAMILY = "\U0001f408", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WHITE = (255, 255, 255)
WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def picture_of(description: str, side: int = 1024, box: Box = WHOLE) -> bytes:
    return layout_picture(Layout(side, side, (Instance(box, description),))).tobytes()


@pytest.mark.parametrize(("cell_px", "owned_px"), [(8, 16), (32, 32), (64, 64)])
def test_ownership_picture_has_cells_of_the_base_model(cell_px: int, owned_px: int) -> None:
    empty = torch.zeros(1, 13, 4)
    box = torch.tensor([[0.0, 0.0, 9 / 128, 1.0]])  # 9 pixels wide
    tokens = InstanceTokens(empty, empty, box, (1.0,), canvas=(128, 128), cell_px=cell_px)
    row = np.asarray(ownership_picture(SemanticMap(tokens)))[100]
    assert (row[10:owned_px] == COLOURS[0]).all()  # pixels 0 to 8 also have the outline of the box
    assert (row[owned_px:] == BACKGROUND).all()


@pytest.mark.parametrize(
    ("canvas", "size"),
    [
        ((128, 128), (512, 512)),
        ((64, 128), (256, 512)),
        ((640, 400), (640, 400)),
        ((4096, 2048), (1024, 512)),
    ],
)
def test_layout_picture_has_room_for_text(canvas: tuple[int, int], size: tuple[int, int]) -> None:
    assert layout_picture(Layout(*canvas)).size == size
    assert layout_picture(Layout(*canvas), (100, 50)).size == (100, 50)


@pytest.mark.parametrize("side", [128, 512, 1024])
@pytest.mark.parametrize(
    ("box", "words"),
    [
        *((Box(0.5, 0.5, 1.0, 1.0), 12), (Box(0.1, 0.1, 0.9, 0.9), 40), (Box(0.0, 0.0, 1.0, 0.15), 15)),
        *((Box(0.0, 0.4, 1.0, 0.42), 4), (Box(0.1, 0.98, 1.0, 1.0), 3)),  # beside the number
    ],
)
def test_each_word_of_a_description_is_drawn(side: int, box: Box, words: int) -> None:
    description = ["striped"] * words
    whole = picture_of(" ".join(description), side, box)
    for changed in range(words):
        other = [*description[:changed], "spotted", *description[changed + 1 :]]
        assert picture_of(" ".join(other), side, box) != whole


def test_description_without_room_ends_with_dots(install: Callable[..., None]) -> None:
    description = "a cat with very long whiskers " * 20
    size, lines = text.fitted(description, 200, 60, largest=23, smallest=12)
    assert size == 12
    assert 1 < len(lines) <= 4
    assert lines[-1].endswith("...")
    assert all(text.length(line, size) <= 200 for line in lines)
    assert text.fitted(description, 200, 11, largest=23, smallest=12) == (12, [])


def test_many_long_descriptions_share_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(previews, "readable", lambda text, most: given.append(most) or "")
    box = Box(0.0, 0.0, 1.0, 1.0)
    for count in (1, 10, 100):
        layout_picture(Layout(64, 64, (Instance(box, "a cat"),) * count))
    assert given == [1000] * 11 + [300] * 100


def test_short_descriptions_have_the_largest_size() -> None:
    assert text.fitted("a cat", 200, 60, largest=23, smallest=12) == (23, ["a cat"])


@pytest.mark.parametrize("unit", ["word ", "x", "\u732b", "a\n"])
def test_long_descriptions_are_cut_before_they_are_drawn(install: Callable[..., None], unit: str) -> None:
    description = (unit * 400_000)[:400_000]
    assert len(text.readable(description)) <= text.MAX_CHARACTERS + len(text.MORE)
    assert text.readable(description) == text.readable(description[: text.MAX_CHARACTERS + 1])
    assert picture_of(description) == picture_of(description[: text.MAX_CHARACTERS + 1])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (CHINESE, "[cannot draw 3 characters]"),
        (KOREAN, "[cannot draw 5 characters]"),
        (CAT, "[cannot draw 1 character]"),
        (FAMILY, "[cannot draw 1 character]"),
        (f"red {JAPANESE}, black", "red [cannot draw 3 characters] , black"),
        ("e\u0301", "[cannot draw 1 character]"),
        ("a\u0000b \ud800", "a [cannot draw 1 character] b [cannot draw 1 character]"),
        ("\u201cit\u2019s\u201d \u2013 \u2014 \u2026", '"it\'s" - - ...'),
        ("a cat", "a cat"),
        ("", ""),
    ],
)
def test_characters_without_a_font_are_counted(install: Callable[..., None], given: str, shown: str) -> None:
    assert " ".join(text.readable(given).split()) == shown
    assert picture_of(given) == picture_of(shown)


@pytest.mark.parametrize(
    "words", [CYRILLIC, ARABIC, FRENCH, "\u03bb\u03cc\u03b3\u03bf\u03c2", "e\u0301te\u0301"]
)
def test_system_font_draws_what_pillows_lacks(install: Callable[..., None], words: str) -> None:
    without = picture_of(words)
    install(DEJAVU)
    assert picture_of(words) != without
    readable = text.readable(words)
    assert "cannot draw" not in readable
    got, want = (Image.new("RGB", (200, 40)) for _ in range(2))
    text.draw_line(got, 5, 8, readable, 20, WHITE)
    baseline = 8 + ImageFont.load_default(20).getmetrics()[0]
    font = ImageFont.truetype(str(DEJAVU), 20)
    left = 5.0
    for name, characters in fonts.runs(readable):
        face = fonts.face(name, 20)
        assert face is not None
        assert name == str(DEJAVU) or characters.isascii()
        ImageDraw.Draw(want).text((left, baseline), characters, WHITE, face.font, anchor="ls")
        left += face.length(characters)
    assert got.tobytes() == want.tobytes()
    assert font.getlength(words) > 0


def test_fonts_change_as_little_as_possible(install: Callable[..., None], tmp_path: Path) -> None:
    """Words of a right-to-left script stay together in their order."""
    block = block_font(tmp_path / "block.ttf", CHINESE)
    install(DEJAVU, block)
    assert list(fonts.runs(f"cat {CYRILLIC} dog{CHINESE} cat")) == [
        (fonts.OWN_FONT, "cat "),
        (str(DEJAVU), f"{CYRILLIC} dog"),
        (str(block), CHINESE),
        (fonts.OWN_FONT, " cat"),
    ]


def test_font_without_a_character_is_passed_over(install: Callable[..., None], tmp_path: Path) -> None:
    block = block_font(tmp_path / "block.ttf", CHINESE)
    install(tmp_path / "not installed.ttf", DEJAVU, block)
    assert fonts.font_of(CHINESE[0]) == str(block)
    assert fonts.font_of(JAPANESE[0]) is None
    assert fonts.font_of("a") == fonts.OWN_FONT


def test_chinese_breaks_anywhere(install: Callable[..., None], tmp_path: Path) -> None:
    install(block_font(tmp_path / "block.ttf", CHINESE))
    lines = text.wrap(CHINESE * 20, 20, 105)
    assert "".join(lines) == CHINESE * 20
    assert {len(line) for line in lines} == {5}
    assert picture_of(CHINESE * 20) != picture_of(CHINESE * 19)


def test_bitmap_emoji_are_scaled_to_the_text(install: Callable[..., None], tmp_path: Path) -> None:
    colour = (200, 30, 60)
    install(bitmap_font(tmp_path / "emoji.ttf", CAT, colour))
    assert text.readable(CAT) == CAT
    picture = Image.new("RGB", (60, 60))
    text.draw_line(picture, 10, 10, f"{CAT}|", 20, WHITE)
    drawn = np.asarray(picture)
    rows, columns = np.nonzero((drawn == colour).all(axis=2))
    assert 17 <= np.ptp(rows) + 1 <= 21
    assert 17 <= np.ptp(columns) + 1 <= 21
    assert columns.min() in (9, 10, 11)
    assert abs(text.length(CAT, 20) - 20) < 2


@pytest.mark.parametrize(("words", "count"), [(ARABIC, 8), ("\u05d7\u05ea\u05d5\u05dc", 4)])
def test_right_to_left_needs_a_layout_engine(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, words: str, count: int
) -> None:
    """Without one, Pillow would draw the letters in reverse order."""
    install(DEJAVU)
    for module in (fonts, text):
        monkeypatch.setattr(module, "HAS_LAYOUT_ENGINE", False)
    assert text.readable(words).strip() == f"[cannot draw {count} characters]"
    assert text.readable(CYRILLIC) == CYRILLIC
