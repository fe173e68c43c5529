"""The rows of the tables: references without a diffusion model, then the compared methods."""

from __future__ import annotations

from ..methods import METHODS

REAL = "real"  # drawings of the scenes: an upper bound, and the judge's own error
AUTOENCODER = "autoencoder"  # drawings through the autoencoder: an upper bound of all methods
MOST_LAYOUTS = 5000  # that can be scored; the other held-out scenes are the Frechet reference
HEAVY = 8  # World.crowding of the layouts with heavy overlap
FULL = "full"  # the method whose details the page shows

TITLES = {
    REAL: "real drawings",
    AUTOENCODER: "drawings through the autoencoder",
    **{key: method.title for key, method in METHODS.items()},
}
