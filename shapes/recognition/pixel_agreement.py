"""Agreement of a picture with a drawing of its scene, pixel by pixel.

The judge takes the nearest figure that it knows, however badly it is drawn. This measure counts the
pixels that have the right colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .colours import evidence, unit_rgb

GOOD_SHARE = 0.8  # minimum agreement of an instance that counts as drawn well


def pixel_agreement(
    picture: ArrayLike, drawing: ArrayLike, boxes: Sequence[tuple[int, int, int, int]]
) -> NDArray[np.float64]:
    """The share of pixels with the same colour in a picture as in a drawing, for each box: (N,), 0..1.

    picture, drawing: (H, W, 3) of bytes, or of floats in 0..1.
    boxes: N boxes x0, y0, x1, y1 in pixels; x1 and y1 are exclusive. What hides a part of an
        instance counts too: the drawing has it.
    The colour of a pixel is the one with the highest ``evidence``, as for the judge: one of the 8
    colours of figures, or the background's. So a drift of all colours does not count as wrong, and
    the background may have any colour.

    Raises ValueError if the picture and the drawing have different sizes.
    """
    shapes = np.shape(picture), np.shape(drawing)
    if shapes[0] != shapes[1]:
        raise ValueError(f"The picture is {shapes[0]} and its drawing {shapes[1]}; expected equal sizes.")
    same = evidence(picture).argmax(-1) == evidence(drawing).argmax(-1)
    return np.array([same[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in boxes], np.float64)


def psnr_db(picture: ArrayLike, drawing: ArrayLike) -> float:
    """Peak signal-to-noise ratio of a picture (H, W, 3), in dB; infinite if it equals the drawing."""
    error = float(np.square(unit_rgb(picture) - unit_rgb(drawing), dtype=np.float64).mean())
    return float("inf") if error == 0 else -10 * float(np.log10(error))
