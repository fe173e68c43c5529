"""Sheets of instances that came out as wanted, and of those that did not: the picture, both boxes, the description, the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ifadapter_diffusers.contact_sheet import grid

from ..files import png_bytes, write_whole
from ..judge.picture_score import InstanceScore, PictureScore
from .score_table import WORDS

MOST = 24  # instances on a sheet
COLUMNS = 6
TILE_PX = 256
TEXT_PX = 14
LINE_PX = 2  # of a box
LINES = 5  # of text below a picture
WANTED_COLOUR, FOUND_COLOUR = (255, 255, 255), (255, 160, 0)
EDGE_COLOUR = (0, 0, 0)

Shown = tuple[PictureScore, InstanceScore]


def write_gallery(scores: Sequence[PictureScore], pictures: Path, output: Path) -> None:
    """``successes.png``: all verifiers say yes; ``failures.png``: the others. White: the wanted box; orange: what serves it."""
    every = [(score, instance) for score in scores for instance in score.instances]
    for name, right in (("successes", True), ("failures", False)):
        shown = spread([(score, instance) for score, instance in every if is_success(instance) == right])
        path = output / f"{name}.png"
        if shown:
            write_whole(path, png_bytes(sheet(shown, pictures)))
        else:
            path.unlink(missing_ok=True)


def is_success(instance: InstanceScore) -> bool:
    return instance.found and all(verdict is True for verdict in instance.verdicts.values())


def spread(shown: Sequence[Shown]) -> list[Shown]:
    """As many as a sheet holds, evenly out of all."""
    count = min(len(shown), MOST)
    return [shown[number * len(shown) // count] for number in range(count)]


def sheet(shown: Sequence[Shown], pictures: Path) -> Image.Image:
    tiles = []
    for score, instance in shown:
        with Image.open(pictures / f"{score.name}.png") as picture:
            tiles.append(tile(picture.convert("RGB"), score, instance))
    return grid([tiles[first : first + COLUMNS] for first in range(0, len(tiles), COLUMNS)])


def tile(picture: Image.Image, score: PictureScore, instance: InstanceScore) -> Image.Image:
    """(TILE_PX, TILE_PX and the text): the picture, fitted, with the boxes; below, name, verdicts and description."""
    scale = TILE_PX / max(picture.size)
    small = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
        Image.Resampling.LANCZOS,
    )
    made = Image.new("RGB", (TILE_PX, TILE_PX + (LINES + 1) * TEXT_PX), "white")
    made.paste(small, (0, 0))
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(TEXT_PX - 2)
    if instance.detection is not None:
        _outline(
            draw, score.detections[instance.detection].box, scale, FOUND_COLOUR, grown=LINE_PX
        )  # both are seen, if they agree
    _outline(draw, instance.box, scale, WANTED_COLOUR)
    verdicts = [f"{name}: {WORDS[verdict]}" for name, verdict in instance.verdicts.items()] or ["not found"]
    lines = [
        line
        for text in (score.name, ", ".join(verdicts), instance.description)
        for line in wrapped(draw, text, font)
    ]
    for number, line in enumerate(lines[:LINES]):
        draw.text((3, TILE_PX + 3 + number * TEXT_PX), line, fill=EDGE_COLOUR, font=font)
    return made


def wrapped(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[str]:
    """Lines that are no wider than a tile, unless a word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= TILE_PX - 6:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _outline(
    draw: ImageDraw.ImageDraw,
    box: Sequence[float],
    scale: float,
    colour: tuple[int, int, int],
    grown: int = 0,
) -> None:
    """A line with a dark inner edge, to be seen on any ground."""
    x0, y0, x1, y1 = (round(edge * scale) for edge in box)
    corners = (x0 - grown, y0 - grown, max(x1 - 1, x0) + grown, max(y1 - 1, y0) + grown)
    for width, line in ((2 * LINE_PX, EDGE_COLOUR), (LINE_PX, colour)):
        draw.rectangle(corners, outline=line, width=width)
