"""Texts of figures and scenes.

Local descriptions are complete: they name every attribute. Captions name shapes, counts and
background only. Wording is deterministically sampled from a random generator.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from typing import TypeVar

from numpy.random import Generator

from ifadapter_core.layout import Box, Layout

from .scene import BACKGROUNDS, COLOURS, SHAPES, Attributes, Figure, Scene, palette_order

T = TypeVar("T")

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# Every template contains {shape}, {colour} and, unless plain, {other}: the pattern colour.
LOCAL_DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    "plain": (
        "a {colour} {shape}",
        "a plain {colour} {shape}",
        "a solid {colour} {shape}",
        "a {shape} in plain {colour}",
        "a {shape}, {colour} all over",
        "a {shape} that is all {colour}",
        "a {colour} {shape} without a pattern",
    ),
    "striped": (
        "a {colour} {shape} with {other} stripes",
        "a {colour} {shape} striped in {other}",
        "a {shape} in {colour}, striped {other}",
        "a {colour} {shape} with stripes of {other}",
        "a striped {shape}, {colour} with {other} bands",
        "a {shape} in {colour} with {other} stripes across it",
        "a {colour} {shape} crossed by {other} stripes",
    ),
    "dotted": (
        "a {colour} {shape} with {other} dots",
        "a {colour} {shape} with {other} polka dots",
        "a {shape} in {colour}, dotted {other}",
        "a {colour} {shape} covered in {other} spots",
        "a spotted {shape}, {colour} with {other} spots",
        "a {colour} {shape} dotted with {other}",
        "a {shape} in {colour} with dots of {other}",
    ),
    "checkered": (
        "a {colour} and {other} checkered {shape}",
        "a {shape} checkered in {colour} and {other}",
        "a checkered {shape}, {colour} and {other}",
        "a {shape} with a {colour} and {other} checkerboard",
        "a {shape} with {colour} and {other} checks",
        "a {colour} {shape} with {other} checks",
        "a checkerboard {shape} in {colour} and {other}",
    ),
    "bordered": (
        "a {colour} {shape} with a {other} border",
        "a {colour} {shape} with a {other} outline",
        "a {shape} in {colour}, outlined in {other}",
        "a {colour} {shape} with a thick {other} edge",
        "a {colour} {shape} that has a {other} rim",
        "a bordered {shape}, {colour} with {other} edges",
        "a {shape} in {colour} with a border of {other}",
    ),
}
# Each of these words identifies its pattern.
PATTERN_WORDS = {
    "striped": {"stripes", "striped", "bands"},
    "dotted": {"dots", "dotted", "spots", "spotted"},
    "checkered": {"checkered", "checks", "checkerboard"},
    "bordered": {"border", "bordered", "outline", "outlined", "edge", "edges", "rim"},
}
CAPTIONS = (
    "a picture of {things} on a {background} background",
    "a drawing of {things} on a {background} background",
    "an image with {things} on a {background} background",
    "{things} on a {background} background",
    "{things} in front of a {background} background",
    "{things} on {background}",
    "a {background} background with {things}",
    "a {background} picture that shows {things}",
)
# Words for the position of a box: its center, normalized to 0..1, is compared with these bounds.
POSITION_BOUNDS = (0.3, 0.43, 0.57, 0.7)
ROWS = ("top", "upper", "middle", "lower", "bottom")
COLUMNS = ("far left", "left", "centre", "right", "far right")
SMALL, BIG = 0.4, 0.52  # bounds on the square root of a box's area, picture = 1
ELONGATED = 1.25  # aspect ratio above which a box is wide or tall
NO_ARTICLE = 0.2  # probability of dropping the leading article


def pick(rng: Generator, options: Sequence[T]) -> T:
    """One of the options, each with the same probability.

    Uses ``Generator.random`` only: its stream is stable across numpy versions, that of ``choice``
    is not.
    """
    return options[int(rng.random() * len(options))]


def shuffled(rng: Generator, options: Iterable[T]) -> list[T]:
    """The options in random order; stable across numpy versions like ``pick``."""
    rest = list(options)
    return [rest.pop(int(rng.random() * len(rest))) for _ in range(len(rest))]


def local_description(attributes: Attributes, rng: Generator) -> str:
    """A randomly worded text that names all attributes of a figure."""
    colours = list(attributes.colours)
    if attributes.pattern == "checkered":
        colours = shuffled(rng, colours)
    template = pick(rng, LOCAL_DESCRIPTIONS[attributes.pattern])
    text = _with_articles(template.format(shape=attributes.shape, colour=colours[0], other=colours[-1]))
    return text.split(" ", 1)[1] if rng.random() < NO_ARTICLE else text


def read_description(text: str) -> Attributes | None:
    """Parse a local description. None if it does not describe exactly one figure of this world."""
    words = re.findall(r"[a-z]+", text.lower())
    shapes = [shape for shape in SHAPES if shape in words]
    colours = [word for word in words if word in COLOURS]
    patterns = [pattern for pattern, signs in PATTERN_WORDS.items() if signs & set(words)]
    pattern = patterns[0] if patterns else "plain"
    if (
        len(shapes) != 1
        or len(patterns) > 1
        or len(colours) != (1 if pattern == "plain" else 2)
        or len(set(colours)) < len(colours)
    ):
        return None
    if pattern == "checkered":
        colours = list(palette_order(*colours))
    return Attributes(shapes[0], colours[0], pattern, colours[1] if len(colours) > 1 else None)


def caption(shapes: Iterable[str], background: str, rng: Generator) -> str:
    """A randomly worded caption with the shapes, their counts and the background."""
    shapes = list(shapes)
    things = [_counted(shape, shapes.count(shape), rng) for shape in shuffled(rng, dict.fromkeys(shapes))]
    listed = " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things) or "nothing"
    return _with_articles(pick(rng, CAPTIONS).format(things=listed, background=background))


def read_scene(layout: Layout) -> Scene:
    """The scene that a picture of the layout should show.

    Leaves out instances whose description is not of this world; without a background in its caption,
    the scene has the first one. Raises ValueError if the canvas is not square.
    """
    if layout.width != layout.height:
        raise ValueError(f"The layout is {layout.width} x {layout.height}; expected a square canvas.")
    figures = []
    for instance in layout.instances:
        attributes = read_description(instance.local_description)
        if attributes is not None:
            x0, y0, x1, y1 = (round(edge * layout.width) for edge in instance.box)
            figures.append(Figure(attributes, (x0, y0, x1, y1), instance.local_description))
    background = _background_of(layout.caption) or next(iter(BACKGROUNDS))
    return Scene(layout.width, background, tuple(figures), layout.caption)


def placed_caption(layout: Layout) -> str:
    """The layout as a caption: each local description with its rough size and position.

    Instances keep their order, from back to front. Raises ValueError if the layout's own caption
    names no background.
    """
    background = _background_of(layout.caption)
    if background is None:
        known = ", ".join(BACKGROUNDS)
        raise ValueError(f"The caption {layout.caption!r} names no background; expected one of {known}.")
    figures = [
        f"{instance.local_description}, {_size_words(instance.box)}{_position_words(instance.box)}"
        for instance in layout.instances
    ]
    return f"{background} background; {'; '.join(figures) or 'nothing'}"


def _background_of(text: str) -> str | None:
    """The first background of BACKGROUNDS that the text names."""
    words = re.findall(r"[a-z]+", text.lower())
    return next((name for name in BACKGROUNDS if name in words), None)


def _size_words(box: Box) -> str:
    """Size and orientation, with a trailing space if not empty, such as "small wide "."""
    width, height = box.x1 - box.x0, box.y1 - box.y0
    side = math.sqrt(width * height)
    size = "small " if side < SMALL else "big " if side > BIG else ""
    shape = "wide " if width > ELONGATED * height else "tall " if height > ELONGATED * width else ""
    return size + shape


def _position_words(box: Box) -> str:
    """Row and column of the center, such as "upper far left"."""
    row = bisect(POSITION_BOUNDS, (box.y0 + box.y1) / 2)
    column = bisect(POSITION_BOUNDS, (box.x0 + box.x1) / 2)
    return f"{ROWS[row]} {COLUMNS[column]}"


def _counted(shape: str, count: int, rng: Generator) -> str:
    if count > 1:
        return f"{NUMBERS[count] if count < len(NUMBERS) else count} {shape}s"
    return f"{pick(rng, ('a', 'a', 'one'))} {shape}"


def _with_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
