"""The Frechet distance of a condition's pictures to real drawings."""

from __future__ import annotations

import numpy as np

from ...drawing import draw
from ...recognition.frechet import features, frechet_distance
from ...sampler import sample_scene
from ..cache import Arrays
from ..layouts.layout_sets import LayoutSet
from ..studio import REFERENCE, Studio
from .scores import Scores


def frechet(studio: Studio, scores: Scores, layouts: LayoutSet) -> float:
    """Distance to as many drawings of other held-out scenes, drawn in the layouts' look."""
    count = max(studio.options.layouts, 2)

    def make() -> Arrays:
        scenes = [sample_scene(studio.world, index) for index in REFERENCE[:count]]
        return {"features": np.stack([features(draw(scene)) for scene in scenes])}

    place = studio.cache.place("reference", {"count": count})
    return frechet_distance(scores.features, studio.cache.arrays(place / "features.npz", make)["features"])
