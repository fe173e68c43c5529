"""Pictures with marks: which instances are right, wrong or not found."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..drawing.text import LINE_HEIGHT, draw_line, length
from ..previews import BACKGROUND, COLOURS, LAYOUT_EDGE_PX, Corners, pixel_corners, text_px
from .result import MARK_WORDS, ImageResult, InstanceResult, Mark

# Marks differ in outline, sign and word, too: solid and a tick, double and a cross, dashed and a ring.
MARK_COLOURS = {"right": COLOURS[2], "wrong": COLOURS[5], "missing": COLOURS[3]}
WHITE = (255, 255, 255)
DASH = 4  # length of a dash, in widths of the line


def marked_pictures(pictures: Sequence[Image.Image], results: Sequence[ImageResult]) -> list[Image.Image]:
    """Pictures with the marks of their instances, all of the size of the first one.

    Small pictures are enlarged to ``LAYOUT_EDGE_PX`` on the longer side, so that the words can be read.
    Pictures of other proportions than the first one get margins.
    """
    marked = [marked_picture(*each) for each in zip(pictures, results, strict=True)]
    return [_fitted(picture, marked[0].size) for picture in marked]


def marked_picture(picture: Image.Image, result: ImageResult) -> Image.Image:
    """A picture with the mark, number and word of each instance at its box."""
    scale = max(1.0, LAYOUT_EDGE_PX / max(picture.size))
    width, height = (round(side * scale) for side in picture.size)
    drawn = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    placed = [(instance, _corners(instance, result, drawn.size)) for instance in result.instances]
    for instance, corners in placed:
        _draw_outline(drawn, corners, instance.mark)
    # Tags last, so that no outline crosses them.
    for number, (instance, corners) in enumerate(placed, 1):
        _draw_tag(drawn, corners, number, instance.mark)
    return drawn


def _corners(instance: InstanceResult, result: ImageResult, size: tuple[int, int]) -> Corners:
    width, height = result.size
    sides = (width, height, width, height)
    return pixel_corners([edge / side for edge, side in zip(instance.box, sides, strict=True)], size)


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture scaled into a size, with margins if its proportions are others."""
    if picture.size == size:
        return picture
    scale = min(size[0] / picture.width, size[1] / picture.height)
    scaled = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    ground = Image.new("RGB", size, BACKGROUND)
    ground.paste(scaled, ((size[0] - scaled.width) // 2, (size[1] - scaled.height) // 2))
    return ground


def _draw_outline(picture: Image.Image, corners: Corners, mark: Mark) -> None:
    """Draw a solid, a double or a dashed outline in the colour of the mark, on a dark one."""
    draw, colour = ImageDraw.Draw(picture), MARK_COLOURS[mark]
    width = _line_px(picture)
    x0, y0, x1, y1 = corners
    draw.rectangle(corners, outline=BACKGROUND, width=width + 2)
    if mark == "missing":
        dash = DASH * width
        for x in range(x0, x1 + 1, 2 * dash):
            for y in (y0, max(y0, y1 - width + 1)):
                draw.rectangle((x, y, min(x + dash, x1), min(y + width - 1, y1)), fill=colour)
        for y in range(y0, y1 + 1, 2 * dash):
            for x in (x0, max(x0, x1 - width + 1)):
                draw.rectangle((x, y, min(x + width - 1, x1), min(y + dash, y1)), fill=colour)
        return
    draw.rectangle(corners, outline=colour, width=width)
    inset = 2 * width + 1
    if mark == "wrong" and min(x1 - x0, y1 - y0) > 2 * inset + 2:
        draw.rectangle((x0 + inset, y0 + inset, x1 - inset, y1 - inset), outline=colour, width=width)


def _draw_tag(picture: Image.Image, corners: Corners, number: int, mark: Mark) -> None:
    """Draw the sign, the number and the word of a mark on a dark tag in the box's top left corner."""
    size, words = text_px(picture), f"{number} {MARK_WORDS[mark]}"
    height = round(size * LINE_HEIGHT) + 2
    width = height + round(length(words, size)) + 6
    left = max(0, min(corners[0], picture.width - 1 - width))
    top = max(0, min(corners[1], picture.height - 1 - height))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left, top, left + width, top + height), fill=BACKGROUND)
    _draw_sign(draw, left, top, height, mark)
    draw_line(picture, left + height, top + 1, words, size, WHITE)


def _draw_sign(draw: ImageDraw.ImageDraw, left: int, top: int, side: int, mark: Mark) -> None:
    """Draw a tick, a cross or a ring into a square. side: of the square in pixels."""
    colour, width = MARK_COLOURS[mark], max(2, side // 9)
    near, far, middle = 0.25 * side, 0.75 * side, 0.5 * side
    if mark == "right":
        tick = [(near, middle), (0.42 * side, far), (far, near)]
        draw.line([(left + x, top + y) for x, y in tick], fill=colour, width=width)
    elif mark == "wrong":
        for y0, y1 in ((near, far), (far, near)):
            draw.line((left + near, top + y0, left + far, top + y1), fill=colour, width=width)
    else:
        draw.ellipse((left + near, top + near, left + far, top + far), outline=colour, width=width)


def _line_px(picture: Image.Image) -> int:
    """Width of an outline."""
    return max(2, max(picture.size) // 250)
