"""Colour evidence: which colour of the world each pixel has, by distance in CIE L*a*b*."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..scene import BACKGROUNDS, COLOURS

Floats = NDArray[np.float32]

TOLERANCE = 20.0  # L*a*b* units beyond the nearest colour at which the evidence reaches 0
BACKGROUND_RADIUS = 20.0  # L*a*b* units around the estimated background colour that belong to it
DRIFT_STEPS = 3  # refinements of the background colour

# Linear sRGB to XYZ, and the D65 white point.
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def unit_rgb(picture: ArrayLike) -> Floats:
    """A picture (..., 3) of bytes, or of floats in 0..1, as float32 in 0..1.

    Raises ValueError if the last axis is not 3 long.
    """
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


PALETTE = _palette(COLOURS)  # (8, 3) L*a*b*
BACKGROUND_PALETTE = _palette(BACKGROUNDS)  # (5, 3) L*a*b*


def distances(pixels: Floats, colours: Floats) -> Floats:
    """Euclidean distances of pixels (..., 3) to colours (C, 3): (..., C)."""
    squares = np.square(pixels).sum(-1, keepdims=True) - 2 * pixels @ colours.T + np.square(colours).sum(-1)
    return np.sqrt(np.clip(squares, 0, None))


def background_colour(pixels: Floats) -> Floats:
    """The estimated background colour (3,) of a picture (H, W, 3), both in L*a*b*.

    Starts at the background of the palette that most pixels are nearest to, then follows a colour
    drift to the median of the pixels around it.
    """
    pixels = pixels[::2, ::2].reshape(-1, 3)
    nearest = distances(pixels, np.concatenate([BACKGROUND_PALETTE, PALETTE])).argmin(-1)
    counts = np.bincount(nearest, minlength=len(BACKGROUND_PALETTE) + len(PALETTE))
    background: Floats = BACKGROUND_PALETTE[counts[: len(BACKGROUND_PALETTE)].argmax()]
    for _ in range(DRIFT_STEPS):
        members = pixels[distances(pixels, background[None])[:, 0] < BACKGROUND_RADIUS]
        background = np.median(members, axis=0) if len(members) else background
    return background


def evidence(picture: ArrayLike) -> Floats:
    """Evidence in a picture (H, W, 3) for 8 colours and the background: (H, W, 9) in 0..1.

    The nearest colour gets 1. Other colours get less with each L*a*b* unit that they are farther
    away, so a drift of all colours by less than half their distance changes no decision.
    """
    pixels = lab(_smoothed(unit_rgb(picture)))
    away = distances(pixels, np.concatenate([PALETTE, background_colour(pixels)[None]]))
    return np.clip(1 - (away - away.min(-1, keepdims=True)) / np.float32(TOLERANCE), 0, 1)


def _smoothed(rgb: Floats) -> Floats:
    """Binomial filter 1 2 1 along both axes of (H, W, 3) against noise."""
    for axis in (0, 1):
        rows = np.moveaxis(rgb, axis, 0)
        before, after = np.concatenate([rows[:1], rows[:-1]]), np.concatenate([rows[1:], rows[-1:]])
        rgb = np.moveaxis((before + rows + rows + after) / np.float32(4), 0, axis)
    return rgb
