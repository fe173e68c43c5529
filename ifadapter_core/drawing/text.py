"""Lines of text in pictures: what can be drawn, where lines break, and how they are drawn."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import cast

from PIL import Image

from .fonts import HAS_LAYOUT_ENGINE, MAX_CACHED, OWN_FONT, Face, clusters, drawable, face, joins, runs

MAX_CHARACTERS = 1000  # a text encoder reads about 300
MAX_CLUSTER = 32  # characters by which the last one may be longer
LINE_HEIGHT = 1.25  # in sizes of the font
MORE = "..."
LOST = "\0"  # a character without a font
LEFT_TO_RIGHT, END_OF_ISOLATE = "\u2066", "\u2069"
# Typographic marks, as language models write them, in Pillow's own font.
PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": MORE}
)


def readable(text: str, most: int = MAX_CHARACTERS) -> str:
    """The part of a text that can be drawn here, at most ``most`` characters long.

    White space becomes spaces. Characters without a font are counted: "[cannot draw 4 characters]".
    """
    end = min(len(text), most)
    while end < min(len(text), most + MAX_CLUSTER) and joins(text[end - 1], text[end]):
        end += 1
    is_cut = end < len(text)
    plain = unicodedata.normalize("NFC", re.sub(r"\s", " ", text[:end].translate(PLAIN)))
    drawn = [drawable(cluster) for cluster in clusters(plain)]
    marked = "".join(LOST if part is None else part for part in drawn)
    # Beside right-to-left text, the words of the placeholder keep their order.
    is_mixed = HAS_LAYOUT_ENGINE and any(
        unicodedata.bidirectional(letter) in ("R", "AL") for letter in marked
    )
    before, after = (LEFT_TO_RIGHT, END_OF_ISOLATE) if is_mixed else ("", "")

    def placeholder(match: re.Match[str]) -> str:
        count = match[0].count(LOST)
        more = " or more" if is_cut and match.end() == len(marked) else ""
        return f" {before}[cannot draw {count}{more} character{'s' if count > 1 else ''}]{after} "

    return re.sub(rf"{LOST}(?:\s*{LOST})*", placeholder, marked) + (MORE if is_cut else "")


def wrap(text: str, size: int, width: float) -> list[str]:
    """Break a readable text into lines of at most ``width`` pixels.

    size: of the font, in pixels. Words that are too long, and Chinese and Japanese, break anywhere.
    """
    lines: list[str] = []
    used, space = 0.0, length(" ", size)
    for word in text.split():
        wanted = length(word, size)
        if lines and used + space + wanted <= width:
            lines[-1] += f" {word}"
            used += space + wanted
        else:
            lines += [word] if wanted <= width else _broken(word, size, width)
            used = length(lines[-1], size)
    return lines


def fitted(text: str, width: float, height: float, largest: int, smallest: int) -> tuple[int, list[str]]:
    """The largest size of the font at which a readable text fits, in pixels, and its lines.

    If it fits at no size, the last line that fits ends with "...".
    """
    for size in (largest, (largest + smallest) // 2, smallest):
        lines = wrap(text, size, width)
        room = max(0, int(height // round(size * LINE_HEIGHT)))
        if len(lines) <= room:
            return size, lines
    return smallest, [*lines[: room - 1], _with_more(lines[room - 1], smallest, width)] if room else []


def draw_line(
    picture: Image.Image, left: float, top: float, line: str, size: int, fill: tuple[int, int, int]
) -> None:
    """Draw a line of a readable text. left, top: of the line, in pixels. size: of the font, in pixels."""
    baseline = top + _face(OWN_FONT, size).font.getmetrics()[0]
    for name, characters in runs(line):
        shown = _face(name, size)
        shown.draw(picture, left, baseline, characters, fill)
        left += shown.length(characters)


def _face(name: str, size: int) -> Face:
    return cast(Face, face(name, size))  # runs() names installed fonts


@lru_cache(MAX_CACHED)
def length(text: str, size: int) -> float:
    """Width of a line in pixels."""
    return sum(_face(name, size).length(characters) for name, characters in runs(text))


def _broken(word: str, size: int, width: float) -> Iterator[str]:
    """Parts of a word of at most ``width`` pixels, and at least one character."""
    part, used = "", 0.0
    for cluster in clusters(word):
        wanted = length(cluster, size)
        if part and used + wanted > width:
            yield part
            part, used = "", 0.0
        part += cluster
        used += wanted
    yield part


def _with_more(line: str, size: int, width: float) -> str:
    """The line with "..." at its end, shortened to fit."""
    kept = list(clusters(line))
    while kept and length("".join(kept) + MORE, size) > width:
        kept.pop()
    return "".join(kept).rstrip() + MORE
