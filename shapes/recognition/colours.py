"""Which colour of the world each pixel of a picture has, in CIE L*a*b*, where distances are about what people see."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..scene import BACKGROUNDS, COLOURS

Floats = NDArray[np.float32]

TOLERANCE = (
    20.0  # a colour that lies this much farther from a pixel than the nearest one is not the pixel's colour
)
GROUND_RADIUS = 20.0  # pixels this near to the usual background belong to it

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def unit_rgb(picture: ArrayLike) -> Floats:
    """A picture (..., 3), either bytes or floats in 0..1, as float32 in 0..1."""
    values = np.asarray(picture)
    if values.ndim < 1 or values.shape[-1] != 3:
        raise ValueError(f"A picture must be (height, width, 3), got {values.shape}.")
    scale = 255.0 if values.dtype == np.uint8 else 1.0
    return np.clip(values.astype(np.float32) / np.float32(scale), 0, 1)


def lab(rgb: Floats) -> Floats:
    """sRGB 0..1 (..., 3) -> L* 0..100, a*, b* (..., 3)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ (_TO_XYZ / _WHITE[:, None]).T.astype(np.float32)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1).astype(np.float32)


def _palette(colours: dict[str, tuple[int, int, int]]) -> Floats:
    return lab(unit_rgb(np.array(list(colours.values()), np.uint8)))


PALETTE = _palette(COLOURS)  # (8, 3)
GROUNDS = _palette(BACKGROUNDS)  # (5, 3)


def distances(pixels: Floats, colours: Floats) -> Floats:
    """Euclidean distances of pixels (..., 3) to colours (C, 3): (..., C)."""
    squares = np.square(pixels).sum(-1, keepdims=True) - 2 * pixels @ colours.T + np.square(colours).sum(-1)
    return np.sqrt(np.clip(squares, 0, None))


def ground_colour(pixels: Floats) -> Floats:
    """The colour of the background, L*a*b* (3,): the most common one among the pixels that are nearest to a muted colour."""
    pixels = pixels[::2, ::2].reshape(-1, 3)
    near = distances(pixels, np.concatenate([GROUNDS, PALETTE])).argmin(-1)
    counts = np.bincount(near, minlength=len(GROUNDS) + len(PALETTE))
    ground: Floats = GROUNDS[counts[: len(GROUNDS)].argmax()]
    for _ in range(3):  # follow a drift of the colour away from the one it was meant to be
        own = pixels[distances(pixels, ground[None])[:, 0] < GROUND_RADIUS]
        ground = np.median(own, axis=0) if len(own) else ground
    return ground


def evidence(picture: ArrayLike) -> Floats:
    """How well each pixel of a picture (H, W, 3) goes with each colour, and last with the background: (H, W, 9) in 0..1.

    The nearest colour gets 1, those that lie farther from the pixel get less, so that a drift of all colours by less
    than half their distance changes nothing.
    """
    pixels = lab(_smoothed(unit_rgb(picture)))
    away = distances(pixels, np.concatenate([PALETTE, ground_colour(pixels)[None]]))
    return np.clip(1 - (away - away.min(-1, keepdims=True)) / np.float32(TOLERANCE), 0, 1)


def _smoothed(rgb: Floats) -> Floats:
    """Weighted 1 2 1 in both directions of (H, W, 3): noise goes, figures stay."""
    for axis in (0, 1):
        rows = np.moveaxis(rgb, axis, 0)
        before, after = np.concatenate([rows[:1], rows[:-1]]), np.concatenate([rows[1:], rows[-1:]])
        rgb = np.moveaxis((before + rows + rows + after) / np.float32(4), 0, axis)
    return rgb
