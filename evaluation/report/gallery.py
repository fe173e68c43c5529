"""Contact sheets of successful and failed instances: picture, both boxes, description and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from ifadapter_core.drawing.text import draw_line, readable, wrap
from ifadapter_diffusers.contact_sheet import grid
from ifadapter_diffusers.pictures import read_picture

from ..files import png_bytes, write_atomic
from ..judge.picture_score import InstanceScore, PictureScore
from ..pictures import picture_path
from .score_table import VERDICT_WORDS

MAX_TILES = 24  # instances per sheet
COLUMNS = 6
TILE_PX = 256
TEXT_PX = 14  # line height
LINE_PX = 2  # width of a box outline
MAX_TEXT_LINES = 5  # below a picture
WANTED_COLOUR, FOUND_COLOUR = (255, 255, 255), (255, 160, 0)
EDGE_COLOUR = (0, 0, 0)

Item = tuple[PictureScore, InstanceScore]  # an instance, with the picture it is in


def write_gallery(scores: Sequence[PictureScore], pictures: Path, output: Path) -> None:
    """Write ``successes.png`` (all verifiers accept) and ``failures.png`` (the others).

    The layout's box is white, the matching detection orange. An existing sheet is removed if it
    would be empty.
    """
    every = [(score, instance) for score in scores for instance in score.instances]
    for name, success in (("successes", True), ("failures", False)):
        items = spread([(score, instance) for score, instance in every if is_success(instance) == success])
        path = output / f"{name}.png"
        if items:
            write_atomic(path, png_bytes(sheet(items, pictures)))
        else:
            path.unlink(missing_ok=True)


def is_success(instance: InstanceScore) -> bool:
    """Whether the instance was found and all verifiers accept it."""
    return instance.found and all(verdict is True for verdict in instance.verdicts.values())


def spread(items: Sequence[Item]) -> list[Item]:
    """At most ``MAX_TILES`` of the items, evenly spaced."""
    count = min(len(items), MAX_TILES)
    return [items[number * len(items) // count] for number in range(count)]


def sheet(items: Sequence[Item], pictures: Path) -> Image.Image:
    """One tile per item, ``COLUMNS`` in a row."""
    tiles = []
    for score, instance in items:
        tiles.append(tile(read_picture(picture_path(pictures, score.name)), score, instance))
    return grid([tiles[first : first + COLUMNS] for first in range(0, len(tiles), COLUMNS)])


def tile(picture: Image.Image, score: PictureScore, instance: InstanceScore) -> Image.Image:
    """The picture, fitted into a square, with both boxes; below it name, verdicts and description."""
    scale = TILE_PX / max(picture.size)
    small = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
        Image.Resampling.LANCZOS,
    )
    made = Image.new("RGB", (TILE_PX, TILE_PX + (MAX_TEXT_LINES + 1) * TEXT_PX), "white")
    made.paste(small, (0, 0))

    # Both boxes; the detection's is enlarged, so that it stays visible around an equal box of the
    # layout.
    draw = ImageDraw.Draw(made)
    if instance.detection is not None:
        _outline(draw, score.detections[instance.detection].box, scale, FOUND_COLOUR, grown=LINE_PX)
    _outline(draw, instance.box, scale, WANTED_COLOUR)

    # The text.
    verdicts = [f"{name}: {VERDICT_WORDS[verdict]}" for name, verdict in instance.verdicts.items()]
    texts = (score.name, ", ".join(verdicts or ["not found"]), instance.description)
    lines = [line for text in texts for line in wrap(readable(text), TEXT_PX - 2, TILE_PX - 6)]
    for number, line in enumerate(lines[:MAX_TEXT_LINES]):
        draw_line(made, 3, TILE_PX + 3 + number * TEXT_PX, line, TEXT_PX - 2, EDGE_COLOUR)
    return made


def _outline(
    draw: ImageDraw.ImageDraw,
    box: Sequence[float],
    scale: float,
    colour: tuple[int, int, int],
    grown: int = 0,
) -> None:
    """Draw a box with a dark inner edge, visible on any background.

    box: in pixels of the picture. scale: tile pixels per picture pixel. grown: enlargement per
        side, tile pixels.
    """
    x0, y0, x1, y1 = (round(edge * scale) for edge in box)
    corners = (x0 - grown, y0 - grown, max(x1 - 1, x0) + grown, max(y1 - 1, y0) + grown)
    for width, line in ((2 * LINE_PX, EDGE_COLOUR), (LINE_PX, colour)):
        draw.rectangle(corners, outline=line, width=width)
