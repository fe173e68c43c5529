"""The looks: line drawings, another palette, and shading with noise."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from ...drawing import Pixels, draw
from ...scene import BACKGROUNDS, COLOURS, Scene
from .labels import FINER, label_colours, labels, nearest, reduced, to_bytes

# Line drawings: tints of the colours on paper, black contours.
PAPER, INK = np.array([246.0, 242.0, 228.0]), np.array([16.0, 16.0, 20.0])
TINT, GROUND_TINT = 0.55, 0.35  # part of the colour in a figure's and in the background's tint
CONTOUR = 2 * FINER  # width of a contour in points
DARK = 150  # largest channel of a contour's pixels, their edges included; all tints are lighter

# Another palette, by the names of the world's colours, which the texts keep.
OTHER_COLOURS = {
    "red": (122, 22, 92),
    "yellow": (158, 206, 70),
    "green": (16, 112, 116),
    "blue": (96, 62, 208),
    "white": (255, 186, 196),
}
OTHER_BACKGROUNDS = {"grey": (44, 44, 52), "beige": (96, 70, 58), "slate": (30, 52, 44)}

NOISE = 7.0  # standard deviation in bytes
SHADE = 0.22  # loss of light from the lit to the unlit side of a figure
LIGHT = 0.12  # loss of light over the picture


def plain(scene: Scene) -> Pixels:
    return draw(scene)


def line_drawing(scene: Scene) -> Pixels:
    """Tinted areas with black contours on paper."""
    found = labels(scene)
    tints = label_colours(
        scene,
        _tinted(BACKGROUNDS[scene.background], GROUND_TINT),
        lambda name: _tinted(COLOURS[name], TINT),
    )
    picture = tints[found]
    picture[_contours(found)] = INK
    return to_bytes(reduced(picture))


def restore_line_drawing(picture: Pixels) -> Pixels:
    """The plain picture: each pixel gets the colour of the nearest tint, a contour that of its neighbours."""
    tints = [_tinted(COLOURS[name], TINT) for name in OTHER_COLOURS]
    tints += [_tinted(BACKGROUNDS[name], GROUND_TINT) for name in OTHER_BACKGROUNDS]
    found = np.where(picture.max(-1) < DARK, len(tints), nearest(picture, np.array(tints)))
    found = _without_ink(found, len(tints))
    return _plain_colours()[np.minimum(found, len(tints) - 1)]


def other_palette(scene: Scene) -> Pixels:
    """The plain drawing with other colours of the same names."""
    colours = label_colours(scene, OTHER_BACKGROUNDS[scene.background], lambda name: OTHER_COLOURS[name])
    return to_bytes(reduced(colours[labels(scene)]))


def restore_other_palette(picture: Pixels) -> Pixels:
    others = np.array([*OTHER_COLOURS.values(), *OTHER_BACKGROUNDS.values()], np.float64)
    return _plain_colours()[nearest(picture, others)]


def shaded(scene: Scene) -> Pixels:
    """Light from the upper left, on each figure and on the whole picture, and noise of a sensor."""
    found = labels(scene)
    colours = label_colours(scene, BACKGROUNDS[scene.background], lambda name: COLOURS[name])
    down, right = np.mgrid[0 : found.shape[0], 0 : found.shape[1]] / found.shape[0]
    light = 1 - LIGHT * (down + right) / 2
    for number, figure in enumerate(scene.figures):
        x0, y0, x1, y1 = (edge / scene.size for edge in figure.box_px)
        across = ((right - x0) / (x1 - x0) + (down - y0) / (y1 - y0)) / 2
        own = (found == 1 + 2 * number) | (found == 2 + 2 * number)
        light[own] *= (1 - SHADE * across)[own]
    picture = reduced(colours[found] * light[..., None])
    return to_bytes(picture + NOISE * random_of(scene).standard_normal(picture.shape))


def restore_nothing(picture: Pixels) -> Pixels:
    """The judge tolerates the drift of colours and the noise."""
    return picture


def random_of(scene: Scene) -> Generator:
    """A random generator that depends on the scene only."""
    seed = int.from_bytes(hashlib.sha256(repr(scene).encode()).digest()[:8], "big")
    return Generator(PCG64(seed))


def _plain_colours() -> Pixels:
    """The colours of the demo's world in the order of OTHER_COLOURS, then OTHER_BACKGROUNDS."""
    colours = [COLOURS[name] for name in OTHER_COLOURS]
    return np.array([*colours, *(BACKGROUNDS[name] for name in OTHER_BACKGROUNDS)], np.uint8)


def _tinted(rgb: tuple[int, int, int], part: float) -> list[float]:
    return list(part * np.array(rgb, np.float64) + (1 - part) * PAPER)


def _contours(found: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Points within half a contour of another label."""
    edges = np.zeros(found.shape, bool)
    for step in range(1, CONTOUR // 2 + 1):
        for axis in (0, 1):
            ahead, behind = np.roll(found, -step, axis) != found, np.roll(found, step, axis) != found
            inner = [slice(None), slice(None)]
            inner[axis] = slice(step, -step)
            edges[tuple(inner)] |= (ahead | behind)[tuple(inner)]
    return edges


def _without_ink(found: NDArray[np.int64], ink: int) -> NDArray[np.int64]:
    """Labels with those of ink replaced by a neighbour's, from the edges of the ink inwards."""
    for _ in range(2 * CONTOUR):
        missing = found == ink
        if not missing.any():
            break
        for axis, step in ((0, 1), (1, 1), (0, -1), (1, -1)):
            neighbour = np.roll(found, step, axis)
            found = np.where((found == ink) & missing & (neighbour != ink), neighbour, found)
    return found
