"""Rasterizes scenes.

Every shape fills the unit box (u to the right, v down, both 0..1) and is mirror symmetric, so the
covered interval of each row defines it. Patterns use the same unit box.

Coverage is counted in sixteenths of a pixel and blended in integers: a scene gives the same bytes
on every machine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .scene import BACKGROUNDS, COLOURS, Attributes, Scene

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
# Inner and outer edge of each row, as the distance |2u - 1| from the axis of symmetry.
Spans = tuple[Floats | float, Floats | float]

SUPERSAMPLING = 4  # samples along each side of a pixel
STRIPES = 3  # stripes per figure; the first and the last have the main colour
CHECKS = 4  # squares along each side

# Half of a five-pointed star, v and |2u - 1|: the outer edge, and the notch between the legs.
_STAR_OUTER = ((0.0, 0.34, 0.382, 0.69, 1.0), (0.0, 0.33, 1.0, 0.53, 0.64))
_STAR_NOTCH = ((0.81, 1.0), (0.0, 0.60))

_DOT_RADIUS = 0.14
# Dot centers (u, v): few, inside the shape, apart from each other.
_DOTS: dict[str, tuple[tuple[float, float], ...]] = {
    "circle": ((0.5, 0.22), (0.22, 0.5), (0.78, 0.5), (0.5, 0.78)),
    "square": ((0.26, 0.26), (0.74, 0.26), (0.26, 0.74), (0.74, 0.74)),
    "triangle": ((0.5, 0.44), (0.3, 0.8), (0.7, 0.8)),
    "diamond": ((0.5, 0.24), (0.24, 0.5), (0.76, 0.5), (0.5, 0.76)),
    "star": ((0.5, 0.3), (0.34, 0.62), (0.66, 0.62)),
    "heart": ((0.26, 0.3), (0.74, 0.3), (0.5, 0.66)),
}
# The area inside a border: fixed point v and scale factor of the shape.
_BORDER_INTERIOR: dict[str, tuple[float, float]] = {
    "circle": (0.5, 0.6),
    "square": (0.5, 0.58),
    "triangle": (0.667, 0.5),
    "diamond": (0.5, 0.58),
    "star": (0.54, 0.54),
    "heart": (0.44, 0.62),
}


def _heart_spans(v: Floats) -> Spans:
    """Two half ellipses in the upper part, two curves that meet in the tip in the lower part."""
    lobe = np.sqrt(np.clip(1 - np.square((v - 0.3) / 0.3), 0, 1))
    fall = np.clip((v - 0.3) / 0.7, 0, 1)
    upper = v < 0.3
    return np.where(upper, (1 - lobe) / 2, 0), np.where(upper, (1 + lobe) / 2, 1 - fall * np.sqrt(fall))


_SPANS: dict[str, Callable[[Floats], Spans]] = {
    "circle": lambda v: (0, np.sqrt(np.clip(1 - np.square(2 * v - 1), 0, 1))),
    "square": lambda v: (0, 1),
    "triangle": lambda v: (0, v),
    "diamond": lambda v: (0, 1 - abs(2 * v - 1)),
    "star": lambda v: (np.interp(v, *_STAR_NOTCH), np.interp(v, *_STAR_OUTER)),
    "heart": _heart_spans,
}


def silhouette(shape: str, u: Floats, v: Floats) -> Mask:
    """Points of the grid u (W) x v (H) inside the shape: boolean (H, W), False outside 0..1."""
    inner, outer = (np.broadcast_to(edge, v.shape)[:, None] for edge in _SPANS[shape](v))
    distance = abs(2 * u - 1)
    return (distance >= inner) & (distance <= outer) & ((v >= 0) & (v <= 1))[:, None]


def pattern_mask(shape: str, pattern: str, u: Floats, v: Floats) -> Mask:
    """Points of the grid u (W) x v (H) in the pattern colour: boolean (H, W).

    Valid inside the silhouette only.
    """
    if pattern == "striped":
        return np.broadcast_to((np.floor(v * STRIPES) % 2 == 1)[:, None], (len(v), len(u)))
    if pattern == "checkered":
        return np.floor(v * CHECKS)[:, None] % 2 != np.floor(u * CHECKS) % 2
    if pattern == "dotted":
        mask = np.zeros((len(v), len(u)), bool)
        for dot_u, dot_v in _DOTS[shape]:
            mask |= np.square(v - dot_v)[:, None] + np.square(u - dot_u) <= _DOT_RADIUS**2
        return mask
    if pattern == "bordered":
        center, scale = _BORDER_INTERIOR[shape]
        return ~silhouette(shape, 0.5 + (u - 0.5) / scale, center + (v - center) / scale)
    return np.zeros((len(v), len(u)), bool)


def pixel_centers(count: int) -> Floats:
    """Centers of ``count`` equal parts of 0..1: (count,)."""
    return (np.arange(count) + 0.5) / count


def coverage(attributes: Attributes, width: int, height: int) -> tuple[Pixels, Pixels]:
    """Coverage of a box by the main and by the pattern colour: two (height, width), 0..16."""
    u, v = pixel_centers(width * SUPERSAMPLING), pixel_centers(height * SUPERSAMPLING)
    inside = silhouette(attributes.shape, u, v)
    patterned = inside & pattern_mask(attributes.shape, attributes.pattern, u, v)
    return _samples_per_pixel(inside & ~patterned), _samples_per_pixel(patterned)


def draw(scene: Scene) -> Pixels:
    """The picture of a scene: sRGB bytes (size, size, 3)."""
    picture = np.empty((scene.size, scene.size, 3), np.uint8)
    picture[:] = BACKGROUNDS[scene.background]
    for figure in scene.figures:
        x0, y0, x1, y1 = figure.box_px
        main, patterned = coverage(figure.attributes, x1 - x0, y1 - y0)
        patch = picture[y0:y1, x0:x1]
        patch[:] = _blend(patch, main, patterned, figure.attributes)
    return picture


def _samples_per_pixel(mask: Mask) -> Pixels:
    """Sum 4 x 4 samples: (4H, 4W) -> (H, W)."""
    counts = mask.view(np.uint8)
    rows = counts[0::4] + counts[1::4] + counts[2::4] + counts[3::4]
    return rows[:, 0::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]


def _blend(patch: Pixels, main: Pixels, patterned: Pixels, attributes: Attributes) -> NDArray[np.uint16]:
    """The patch (H, W, 3) with the figure over it, rounded to the nearest integer."""
    names = attributes.colours[0], attributes.colours[-1]
    main_rgb, pattern_rgb = (np.array(COLOURS[name], np.uint16) for name in names)
    full = SUPERSAMPLING**2
    rest = (full - main - patterned).astype(np.uint16)[..., None]
    total = patch * rest + main[..., None] * main_rgb + patterned[..., None] * pattern_rgb
    return (total + full // 2) // full
