"""The Frechet distance of a condition's pictures to real drawings."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from ...recognition.frechet import features, frechet_distance
from ...sampler import sample_scene
from ..cache import Arrays
from ..layouts.layout_sets import LayoutSet
from ..looks.table import LOOKS
from ..studio import REFERENCE, Studio
from .scores import Scores


def frechet(studio: Studio, scores: Scores, layouts: LayoutSet) -> float:
    """Distance to as many drawings of other held-out scenes, drawn in the layouts' look."""
    count, look = max(studio.options.layouts, 2), LOOKS[layouts.look]

    def make() -> Arrays:
        scenes = [sample_scene(look.world(studio.world), index) for index in REFERENCE[:count]]
        return {"features": np.stack([features(look.draw(scene)) for scene in scenes])}

    described = {"count": count, "look": layouts.look, "world": asdict(look.world(studio.world))}
    place = studio.cache.place("reference", described)
    return frechet_distance(scores.features, studio.cache.arrays(place / "features.npz", make)["features"])
