"""Which figure, and which of its two colours, each point of a scene shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...drawing import Pixels, pattern_mask, pixel_centers, silhouette
from ...scene import Scene

FINER = 2  # points along each side of a pixel
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


def labels(scene: Scene) -> Labels:
    """(2 * size, 2 * size): 0 = background, 1 + 2 f and 2 + 2 f = main and pattern colour of figure f."""
    found = np.zeros((FINER * scene.size,) * 2, np.int64)
    for number, figure in enumerate(scene.figures):
        x0, y0, x1, y1 = (FINER * edge for edge in figure.box_px)
        u, v = pixel_centers(x1 - x0), pixel_centers(y1 - y0)
        inside = silhouette(figure.attributes.shape, u, v)
        patterned = pattern_mask(figure.attributes.shape, figure.attributes.pattern, u, v)
        patch = found[y0:y1, x0:x1]
        patch[inside] = 1 + 2 * number + patterned[inside]
    return found


def label_colours(
    scene: Scene, background: Sequence[float], colour: Callable[[str], Sequence[float]]
) -> Floats:
    """The colour of each label: (1 + 2 * figures, 3)."""
    names = [name for figure in scene.figures for name in (figure.attributes.colours * 2)[:2]]
    return np.array([background, *(colour(name) for name in names)], np.float64)


def reduced(picture: Floats) -> Floats:
    """Means of FINER x FINER points: (2H, 2W, C) -> (H, W, C)."""
    height, width, channels = picture.shape
    return picture.reshape(height // FINER, FINER, width // FINER, FINER, channels).mean(axis=(1, 3))


def to_bytes(picture: Floats) -> Pixels:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def nearest(picture: Pixels, colours: Floats) -> NDArray[np.int64]:
    """The index of the nearest of colours (K, 3) for each pixel of a picture (H, W, 3)."""
    differences = picture[:, :, None].astype(np.float64) - colours
    return np.square(differences).sum(-1).argmin(-1)
