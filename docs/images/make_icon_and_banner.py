"""Draw the registry's icon and banner: ``python docs/images/make_icon_and_banner.py``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parent
ICON_PX = 400
BANNER_PX = (1680, 720)  # 21:9
SUPERSAMPLING = 4  # for smooth edges

GROUND = (26, 27, 30)
CANVAS = (17, 18, 20)
FRAME = (74, 78, 86)
WHITE = (240, 240, 240)
GREY = (160, 164, 172)
# The first colours of ifadapter_core/previews.py, as in the layout editor.
ORANGE, BLUE, GREEN = (230, 159, 0), (86, 180, 233), (0, 158, 115)

# Back to front, on a canvas of side 1: box (x0, y0, x1, y1), colour, shape of the instance in it.
INSTANCES = (
    ((0.08, 0.10, 0.52, 0.60), ORANGE, "circle"),
    ((0.14, 0.54, 0.56, 0.92), GREEN, "square"),
    ((0.44, 0.26, 0.92, 0.74), BLUE, "triangle"),
)


def draw_layout(picture: Image.Image, left: float, top: float, side: float) -> None:
    """Draw the canvas with its boxes onto ``picture``; left, top and side in pixels."""
    line = round(side * 0.022)
    frame = (left, top, left + side, top + side)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle(frame, side * 0.06, fill=CANVAS, outline=FRAME, width=line // 2)
    for box, colour, shape in INSTANCES:
        x0, y0, x1, y1 = (start + value * side for start, value in zip((left, top) * 2, box, strict=True))
        tint = tuple(round(0.3 * one + 0.7 * dark) for one, dark in zip(colour, CANVAS, strict=True))
        draw.rectangle((x0, y0, x1, y1), fill=tint, outline=colour, width=line)
        draw_shape(draw, shape, ((x0 + x1) / 2, (y0 + y1) / 2), 0.27 * min(x1 - x0, y1 - y0), colour)
    for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1)):  # the front box is selected
        draw.rectangle((x - line, y - line, x + line, y + line), fill=WHITE)


def draw_shape(
    draw: ImageDraw.ImageDraw, shape: str, center: tuple[float, float], radius: float, colour: tuple[int, ...]
) -> None:
    x, y = center
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape == "square":
        draw.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        corners = [(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)]
        draw.polygon(corners, fill=colour)


def icon() -> Image.Image:
    side = ICON_PX * SUPERSAMPLING
    picture = Image.new("RGBA", (side, side))
    ImageDraw.Draw(picture).rounded_rectangle((0, 0, side - 1, side - 1), side * 0.16, fill=GROUND)
    draw_layout(picture, side * 0.05, side * 0.05, side * 0.90)
    return picture.resize((ICON_PX, ICON_PX), Image.Resampling.LANCZOS)


def banner() -> Image.Image:
    width, height = (side * SUPERSAMPLING // 2 for side in BANNER_PX)
    picture = Image.new("RGBA", (width, height), GROUND)
    side = height * 0.78
    draw_layout(picture, width - side - height * 0.14, height * 0.11, side)
    draw = ImageDraw.Draw(picture)
    left = height * 0.16
    draw.text((left, height * 0.29), "IFAdapter", WHITE, ImageFont.load_default(height * 0.18))
    lines = "Draw boxes, describe each one,\nand every instance keeps its own features."
    font = ImageFont.load_default(height * 0.055)
    draw.multiline_text((left, height * 0.54), lines, GREY, font, spacing=height * 0.03)
    return picture.convert("RGB").resize(BANNER_PX, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    icon().save(FOLDER / "icon.png", optimize=True)
    banner().save(FOLDER / "banner.png", optimize=True)
