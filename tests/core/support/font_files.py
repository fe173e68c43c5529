"""Small fonts for tests of previews."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike
from PIL import Image

# Latin, Greek, Cyrillic, Hebrew and Arabic.
DEJAVU = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
UNITS = 1000
BITMAP_PX = 109


def block_font(path: Path, characters: str) -> Path:
    """A font that draws each of these characters as a full block, and others as a small one."""
    names = _names(characters)
    glyphs = {name: _block(900 if name in names.values() else 300) for name in (".notdef", *names.values())}
    builder = _builder(names)
    builder.setupGlyf(glyphs)
    _finish(builder, names)
    builder.save(path)
    return path


def bitmap_font(path: Path, character: str, colour: tuple[int, int, int]) -> Path:
    """A font with one character, as a bitmap of one colour and one size, like Apple Color Emoji."""
    names = _names(character)
    builder = _builder(names)
    builder.setupGlyf({name: _block(300) for name in (".notdef", *names.values())})
    _finish(builder, names)
    png = io.BytesIO()
    Image.new("RGB", (BITMAP_PX, BITMAP_PX), colour).save(png, "PNG")
    strike = Strike(ppem=BITMAP_PX, resolution=72)
    for name in names.values():
        strike.glyphs[name] = Glyph(glyphName=name, graphicType="png ", imageData=png.getvalue())
    strike.glyphs[".notdef"] = Glyph(glyphName=".notdef")
    table = newTable("sbix")
    table.version, table.flags, table.numStrikes = 1, 1, 1
    table.strikes = {BITMAP_PX: strike}
    builder.font["sbix"] = table
    builder.save(path)
    return path


def _names(characters: str) -> dict[int, str]:
    return {ord(character): f"u{ord(character):05X}" for character in characters}


def _builder(names: dict[int, str]) -> FontBuilder:
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    return builder


def _block(side: int) -> object:
    pen = TTGlyphPen(None)
    corners: Sequence[tuple[int, int]] = ((0, 0), (0, side), (side, side), (side, 0))
    pen.moveTo(corners[0])
    for corner in corners[1:]:
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def _finish(builder: FontBuilder, names: dict[int, str]) -> None:
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names.values()), (UNITS, 0)))
    builder.setupHorizontalHeader(ascent=UNITS, descent=0)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
