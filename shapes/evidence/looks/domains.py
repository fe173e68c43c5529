"""The domains: top views with small figures on textured ground, and grey sections, in their own words."""

from __future__ import annotations

import numpy as np

from ...descriptions import NUMBERS, pick
from ...drawing import Pixels
from ...scene import BACKGROUNDS, COLOURS, Attributes, Figure, Scene
from .labels import Floats, label_colours, labels, nearest, reduced, to_bytes
from .styles import random_of

TOP_SIDES = (30 / 128, 48 / 128)  # smaller than all figures of training
TEXTURE = 9.0  # standard deviation of the ground in bytes

# Grey values in order of brightness; the ground of all sections is the same.
GREYS = {"red": 18, "blue": 66, "green": 160, "yellow": 206, "white": 250}
GROUND = 112
GRAIN = 4.0

TOP_WORDS = {"circle": "tank", "square": "building", "triangle": "ship"}
TOP_PATTERNS = {
    "plain": "a {colour} {shape} seen from above",
    "striped": "a {colour} {shape} with {other} lanes, from above",
    "dotted": "a {colour} {shape} with {other} vents, from above",
    "bordered": "a {colour} {shape} with a {other} wall, from above",
}
SECTION_WORDS = {"circle": "nodule", "square": "plate", "triangle": "wedge"}
SECTION_GREYS = {"red": "black", "blue": "dark", "green": "light", "yellow": "bright", "white": "white"}
SECTION_PATTERNS = {
    "plain": "a {colour} {shape}",
    "striped": "a {colour} {shape} with {other} layers",
    "dotted": "a {colour} {shape} with {other} speckles",
    "bordered": "a {colour} {shape} with a {other} shell",
}


def top_view(scene: Scene) -> Pixels:
    """Figures in the world's colours on ground with a texture of two sizes."""
    found = labels(scene)
    colours = label_colours(scene, BACKGROUNDS[scene.background], lambda name: COLOURS[name])
    picture = reduced(colours[found])
    ground = reduced((found == 0)[..., None].astype(np.float64))
    return to_bytes(picture + ground * _texture(scene))


def top_view_words(scene: Scene) -> Scene:
    return _worded(scene, TOP_WORDS, {name: name for name in COLOURS}, TOP_PATTERNS, "a satellite picture of")


def section(scene: Scene) -> Pixels:
    """The colours as grey values, with grain."""
    colours = label_colours(scene, (GROUND,) * 3, lambda name: (GREYS[name],) * 3)
    picture = reduced(colours[labels(scene)])
    grain = random_of(scene).standard_normal((*picture.shape[:2], 1))
    return to_bytes(picture + GRAIN * grain)


def restore_section(picture: Pixels) -> Pixels:
    """The plain picture: each pixel the colour of the nearest grey value."""
    greys = np.array([*GREYS.values(), GROUND], np.float64)
    colours = np.array([*(COLOURS[name] for name in GREYS), BACKGROUNDS["grey"]])
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, axis=-1)
    return colours[nearest(grey, np.repeat(greys[:, None], 3, axis=1))].astype(np.uint8)


def section_words(scene: Scene) -> Scene:
    return _worded(scene, SECTION_WORDS, SECTION_GREYS, SECTION_PATTERNS, "a section with")


def _texture(scene: Scene) -> Floats:
    rng, size = random_of(scene), scene.size
    coarse = np.kron(rng.standard_normal((size // 8, size // 8)), np.ones((8, 8)))
    fine = rng.standard_normal((size, size))
    return (TEXTURE * (0.6 * coarse + 0.8 * fine))[..., None]


def _worded(
    scene: Scene, shapes: dict[str, str], colours: dict[str, str], patterns: dict[str, str], start: str
) -> Scene:
    """The scene in the words of a domain. Its caption keeps the name of the background."""
    figures = tuple(
        Figure(figure.attributes, figure.box_px, _described(figure.attributes, shapes, colours, patterns))
        for figure in scene.figures
    )
    names = [shapes[figure.attributes.shape] for figure in scene.figures]
    counts = {name: names.count(name) for name in names}
    counted = [f"{NUMBERS[count]} {name}{'s' * (count > 1)}" for name, count in counts.items()]
    ground = pick(random_of(scene), ("ground", "background"))
    text = f"{start} {', '.join(counted)} on {scene.background} {ground}"
    return Scene(scene.size, scene.background, figures, text)


def _described(
    attributes: Attributes, shapes: dict[str, str], colours: dict[str, str], patterns: dict[str, str]
) -> str:
    first, last = attributes.colours[0], attributes.colours[-1]
    return patterns[attributes.pattern].format(
        shape=shapes[attributes.shape], colour=colours[first], other=colours[last]
    )
