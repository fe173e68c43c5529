"""Draw what can be connected to the layout editor: ``python docs/images/make_connections.py``."""

from __future__ import annotations

from pathlib import Path

from make_icon_and_banner import BLUE, CANVAS, GREEN, GREY, GROUND, ORANGE, WHITE, draw_layout
from PIL import Image, ImageDraw, ImageFont

PATH = Path(__file__).resolve().parent / "connections.png"
SCALE = 2  # pixels of the file for each pixel below
WIDTH, HEIGHT = 1200, 600
CARD = (380, 92)
GAP = 20
RADIUS = 10
EDITOR = (450, 130, 750, 470)  # x0, y0, x1, y1

# Title, then the nodes on the way.
DOORS_IN = (
    ("A sentence", "Layout Prompt > Generate Text"),
    ("A photo", "SAM 3 or RT-DETR > Crops >\nGenerate Text > Captions"),
    ("Boxes of other nodes", "BOUNDING_BOX, SEGS, masks, elements"),
    ("JSON of other tools", "Qwen-VL, Gemini, GLIGEN, .. (paste it)"),
)
DOORS_OUT = (
    ("A picture with IFAdapter", "Encode > Semantic Map > Apply (SDXL)"),
    ("A picture of any model", "Regional Conditioning"),
    ("Other nodes", "Layout Outputs: masks, boxes,\nelements, SEGS"),
    ("Each box in detail", "Crops > sampler > Paste"),
    ("What came out right?", "Check, back into the editor"),
)


def text(draw: ImageDraw.ImageDraw, at: tuple[float, float], words: str, size: int, colour: tuple) -> None:
    font = ImageFont.load_default(size * SCALE)
    draw.multiline_text(tuple(value * SCALE for value in at), words, colour, font, spacing=4 * SCALE)


def frame(draw: ImageDraw.ImageDraw, corners: tuple[float, ...], colour: tuple[int, ...]) -> None:
    pixels = tuple(value * SCALE for value in corners)
    draw.rounded_rectangle(pixels, RADIUS * SCALE, fill=CANVAS, outline=colour, width=2 * SCALE)


def arrow(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A straight line with a point at its end."""
    points = (start, (end[0] - 9, end[1]))
    draw.line([(x * SCALE, y * SCALE) for x, y in points], GREY, 2 * SCALE)
    x, y = (value * SCALE for value in end)
    draw.polygon([(x, y), (x - 9 * SCALE, y - 5 * SCALE), (x - 9 * SCALE, y + 5 * SCALE)], GREY)


def column(
    draw: ImageDraw.ImageDraw, doors: tuple, left: float, colour: tuple[int, ...], inwards: bool
) -> None:
    """Draw the doors as cards below each other, each with its arrow to or from the editor."""
    top = (HEIGHT - len(doors) * CARD[1] - (len(doors) - 1) * GAP) / 2
    for number, (title, nodes) in enumerate(doors):
        y = top + number * (CARD[1] + GAP)
        frame(draw, (left, y, left + CARD[0], y + CARD[1]), colour)
        text(draw, (left + 18, y + 12), title, 20, WHITE)
        text(draw, (left + 18, y + 42), nodes, 15, GREY)
        at_editor = EDITOR[1] + (EDITOR[3] - EDITOR[1]) * (number + 1) / (len(doors) + 1)
        middle = y + CARD[1] / 2
        if inwards:
            arrow(draw, (left + CARD[0], middle), (EDITOR[0] - 2, at_editor))
        else:
            arrow(draw, (EDITOR[2], at_editor), (left - 2, middle))


def connections() -> Image.Image:
    picture = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), GROUND)
    draw = ImageDraw.Draw(picture)
    column(draw, DOORS_IN, 20, BLUE, inwards=True)
    column(draw, DOORS_OUT, WIDTH - 20 - CARD[0], GREEN, inwards=False)
    frame(draw, EDITOR, ORANGE)
    text(draw, (EDITOR[0] + 22, EDITOR[1] + 16), "IFAdapter Layout", 24, WHITE)
    text(draw, (EDITOR[0] + 22, EDITOR[1] + 50), "the editor: take over, move, rewrite", 14, GREY)
    side = 240
    left = (EDITOR[0] + EDITOR[2] - side) / 2
    draw_layout(picture, left * SCALE, (EDITOR[1] + 84) * SCALE, side * SCALE)
    return picture


if __name__ == "__main__":
    connections().save(PATH, optimize=True)
