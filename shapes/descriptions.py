"""How figures and scenes are spoken of: varied local descriptions that tell all, and global captions that tell no details."""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from typing import TypeVar

from numpy.random import Generator

from ifadapter_core.layout import Box, Layout

from .scene import BACKGROUNDS, COLOURS, SHAPES, Attributes, palette_order

T = TypeVar("T")

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# {shape}, {colour} and {other}, the pattern colour, occur in each: a local description leaves nothing out.
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
PATTERN_WORDS = {  # each tells the pattern by itself
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
# Where the middle of a box lies and how large it is, in parts of the picture's side: bounds between the words.
PLACE_BOUNDS = (0.3, 0.43, 0.57, 0.7)
ROWS = ("top", "upper", "middle", "lower", "bottom")
COLUMNS = ("far left", "left", "centre", "right", "far right")
SMALL, BIG, LONG = 0.4, 0.52, 1.25
BARE = 0.2  # part of the descriptions that go without the article in front


def pick(rng: Generator, options: Sequence[T]) -> T:
    """One of the options. Draws by ``random`` alone, whose stream does not change between versions of numpy."""
    return options[int(rng.random() * len(options))]


def shuffled(rng: Generator, options: Iterable[T]) -> list[T]:
    rest = list(options)
    return [rest.pop(int(rng.random() * len(rest))) for _ in range(len(rest))]


def local_description(attributes: Attributes, rng: Generator) -> str:
    """One of many ways to tell all attributes of a figure."""
    colours = list(attributes.colours)
    if attributes.pattern == "checkered":
        colours = shuffled(rng, colours)
    template = pick(rng, LOCAL_DESCRIPTIONS[attributes.pattern])
    text = _with_articles(template.format(shape=attributes.shape, colour=colours[0], other=colours[-1]))
    return text.split(" ", 1)[1] if rng.random() < BARE else text


def read_description(text: str) -> Attributes | None:
    """The attributes that a description tells, or None if it does not speak of this world as the templates do."""
    words = re.findall(r"[a-z]+", text.lower())
    shapes = [shape for shape in SHAPES if shape in words]
    colours = [word for word in words if word in COLOURS]
    told = [pattern for pattern, signs in PATTERN_WORDS.items() if signs & set(words)]
    pattern = told[0] if told else "plain"
    if (
        len(shapes) != 1
        or len(told) > 1
        or len(colours) != (1 if pattern == "plain" else 2)
        or len(set(colours)) < len(colours)
    ):
        return None
    if pattern == "checkered":
        colours = list(palette_order(*colours))
    return Attributes(shapes[0], colours[0], pattern, colours[1] if len(colours) > 1 else None)


def caption(shapes: Iterable[str], background: str, rng: Generator) -> str:
    """One of many ways to tell what kinds of figures there are, how many, and on what."""
    shapes = list(shapes)
    things = [_counted(shape, shapes.count(shape), rng) for shape in shuffled(rng, dict.fromkeys(shapes))]
    listed = " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things) or "nothing"
    return _with_articles(pick(rng, CAPTIONS).format(things=listed, background=background))


def placed_caption(layout: Layout) -> str:
    """A caption with every figure's looks, and roughly its place, size and proportions; those in front come last.

    Raises ValueError when the layout's own caption names no background.
    """
    background = next(
        (name for name in BACKGROUNDS if name in re.findall(r"[a-z]+", layout.caption.lower())), None
    )
    if background is None:
        raise ValueError(
            f"The caption {layout.caption!r} names no background; expected one of {', '.join(BACKGROUNDS)}."
        )
    figures = [
        f"{instance.local_description}, {_size(instance.box)}{_place(instance.box)}"
        for instance in layout.instances
    ]
    return f"{background} background; {'; '.join(figures) or 'nothing'}"


def _size(box: Box) -> str:
    width, height = box.x1 - box.x0, box.y1 - box.y0
    side = math.sqrt(width * height)
    size = "small " if side < SMALL else "big " if side > BIG else ""
    return size + ("wide " if width > LONG * height else "tall " if height > LONG * width else "")


def _place(box: Box) -> str:
    row, column = (
        bisect(PLACE_BOUNDS, (low + high) / 2) for low, high in ((box.y0, box.y1), (box.x0, box.x1))
    )
    return f"{ROWS[row]} {COLUMNS[column]}"


def _counted(shape: str, count: int, rng: Generator) -> str:
    if count > 1:
        return f"{NUMBERS[count] if count < len(NUMBERS) else count} {shape}s"
    return f"{pick(rng, ('a', 'a', 'one'))} {shape}"


def _with_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
