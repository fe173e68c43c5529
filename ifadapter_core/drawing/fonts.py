"""Fonts: Pillow's own, and the system's for characters that it lacks (all but ASCII)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

from PIL import Image, ImageDraw, ImageFont, features

OWN_FONT = "Pillow's own"
# Pillow looks for these names in the font folders of the system. The first font with a character draws it.
FONT_FILES = (
    # Latin, Greek, Cyrillic, and some Arabic and Hebrew
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf"),
    *("segoeui.ttf", "arial.ttf", "Arial.ttf", "tahoma.ttf", "Helvetica.ttc", "Arial Unicode.ttf"),
    # Chinese, Japanese, Korean
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf"),
    *("NotoSansJP-Regular.otf", "NotoSansKR-Regular.otf", "NanumGothic.ttf", "ipag.ttf", "uming.ttc"),
    *("msyh.ttc", "simsun.ttc", "YuGothM.ttc", "msgothic.ttc", "meiryo.ttc", "malgun.ttf", "gulim.ttc"),
    *("Hiragino Sans GB.ttc", "PingFang.ttc", "STHeiti Light.ttc", "AppleSDGothicNeo.ttc", "AppleGothic.ttf"),
    # Arabic, Hebrew, Indic scripts, Thai
    *("NotoSansArabic-Regular.ttf", "NotoNaskhArabic-Regular.ttf", "GeezaPro.ttc"),
    *("NotoSansHebrew-Regular.ttf", "NotoSansThai-Regular.ttf", "leelawui.ttf", "Thonburi.ttc"),
    *("NotoSansDevanagari-Regular.ttf", "NotoSansBengali-Regular.ttf", "NotoSansTamil-Regular.ttf"),
    *("Nirmala.ttc", "Nirmala.ttf", "Kohinoor.ttc"),
    # Emoji and symbols
    *("NotoColorEmoji.ttf", "seguiemj.ttf", "Apple Color Emoji.ttc", "NotoEmoji-Regular.ttf", "seguisym.ttf"),
    *("Symbola.ttf", "NotoSansSymbols2-Regular.ttf", "unifont.ttf", "unifont.otf"),
)
CHECKED_PX = 32  # size at which a font is asked for its characters
MAX_CACHED = 10_000  # characters or words
BITMAP_PX = (109, 160, 136, 128, 96, 64)  # sizes of bitmap fonts, such as Noto Color Emoji and Apple's
NO_CHARACTER = "\U0010ffff"  # never assigned; a font draws it as it draws what it lacks
ZERO_WIDTH_JOINER = "\u200d"
# Characters without a glyph of their own (Unicode: default ignorable). Some of them shape others: joiners,
# marks and isolates of right-to-left text, variation selectors, tags of flags.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
SHAPING = re.compile(
    "[\u061c\u200c-\u200f\u2066-\u2069\ufe00-\ufe0f\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
SKIN_TONES = re.compile("[\U0001f3fb-\U0001f3ff]")

# Right-to-left scripts and joined letters need a layout engine that a Pillow may lack.
HAS_LAYOUT_ENGINE = bool(features.check("raqm"))


@dataclass(frozen=True)
class Face:
    """A font at a size. A bitmap font has one size of its own and is scaled to it."""

    font: ImageFont.FreeTypeFont
    scale: float = 1.0

    def length(self, text: str) -> float:
        """Advance of a text in pixels."""
        return self.font.getlength(text) * self.scale

    def draw(
        self, picture: Image.Image, x: float, baseline: float, text: str, fill: tuple[int, int, int]
    ) -> None:
        if self.scale == 1.0:
            ImageDraw.Draw(picture).text(
                (x, baseline), text, fill=fill, font=self.font, anchor="ls", embedded_color=True
            )
            return
        left, top, right, bottom = self.font.getbbox(text, anchor="ls")
        large = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
        ImageDraw.Draw(large).text(
            (-left, -top), text, fill=fill, font=self.font, anchor="ls", embedded_color=True
        )
        width, height = (max(1, round(side * self.scale)) for side in large.size)
        small = large.resize((width, height))
        picture.paste(small, (round(x + left * self.scale), round(baseline + top * self.scale)), small)


@cache
def face(name: str, size: int) -> Face | None:
    """A font by its file name, or None if it is not installed.

    size: in pixels.
    """
    if name == OWN_FONT:
        return Face(cast(ImageFont.FreeTypeFont, ImageFont.load_default(size)))
    try:
        return Face(ImageFont.truetype(name, size))
    except OSError as error:
        if "pixel size" not in str(error):
            return None
    for own_size in BITMAP_PX:
        with suppress(OSError):
            return Face(ImageFont.truetype(name, own_size), size / own_size)
    return None


@lru_cache(MAX_CACHED)
def font_of(cluster: str, current: str = OWN_FONT) -> str | None:
    """The name of a font with all characters of a cluster, the current one if possible; else None."""
    needed = visible(cluster)
    if not HAS_LAYOUT_ENGINE and any(unicodedata.bidirectional(c) in ("R", "AL") for c in needed):
        return None
    names = (current, OWN_FONT, *FONT_FILES)
    return next((name for name in names if all(_has(name, character) for character in needed)), None)


def clusters(text: str) -> Iterator[str]:
    """The characters of a text, each with the marks and modifiers that follow it, and flags as a pair."""
    cluster = ""
    for character in text:
        if cluster and joins(cluster, character):
            cluster += character
            continue
        if cluster:
            yield cluster
        cluster = character
    if cluster:
        yield cluster


def visible(cluster: str) -> str:
    """A cluster without the characters that need no glyph."""
    return IGNORABLE.sub("", cluster)


def drawable(cluster: str) -> str | None:
    """What a font has of a cluster: all of it, or without the tone of the skin; None if there is no font.

    "" for a cluster without a glyph.
    """
    shaped = IGNORABLE.sub(lambda match: match[0] if SHAPING.match(match[0]) else "", cluster)
    if not visible(shaped):
        return ""
    if not HAS_LAYOUT_ENGINE:
        shaped = visible(shaped)
    for wanted in (shaped, SKIN_TONES.sub("", shaped)):
        if visible(wanted) and font_of(wanted) is not None:
            return wanted
    return None


def runs(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into (font name, characters), with as few changes of the font as possible.

    text: as from ``text.readable``: each character has a font.
    """
    current, run = OWN_FONT, ""
    for cluster in clusters(text):
        name = font_of(cluster, current) or current
        if name != current and run:
            yield current, run
            run = ""
        current = name
        # Pillow's own font draws a box for characters without a glyph.
        run += visible(cluster) if name == OWN_FONT else cluster
    if run:
        yield current, run


def joins(cluster: str, character: str) -> bool:
    """Whether a character is a mark on the cluster before it, modifies it, or completes a flag."""
    if (cluster[-1] == ZERO_WIDTH_JOINER and cluster[0] != " ") or SKIN_TONES.match(character):
        return True
    if _is_flag_half(character):
        return len(cluster) == 1 and _is_flag_half(cluster)
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


@lru_cache(MAX_CACHED)
def _has(name: str, character: str) -> bool:
    """Whether a font is installed and has a character."""
    found = face(name, CHECKED_PX)
    if found is None or unicodedata.category(character) == "Cs":  # Pillow cannot draw a lone surrogate
        return False
    return _picture(found.font, character) != _missing(name)


@cache
def _missing(name: str) -> bytes:
    """What an installed font draws for characters that it lacks."""
    return _picture(cast(Face, face(name, CHECKED_PX)).font, NO_CHARACTER)


def _picture(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    side = round(2 * font.size)
    picture = Image.new("RGBA", (side, side))
    ImageDraw.Draw(picture).text((0, 0), character, font=font, embedded_color=True)
    return picture.tobytes()
