"""Scores made by hand."""

from __future__ import annotations

import numpy as np

from shapes.recognition.verifier import AttributeVerdict
from shapes.results.picture_score import InstanceScore, PictureScore
from shapes.sampler import World
from shapes.scene import Attributes

WORLD = World(sides=(0.3, 0.6))
CIRCLE = Attributes("circle", "red", "dotted", "white")
SQUARE = Attributes("square", "red", "dotted", "white")
PLAIN = Attributes("circle", "red")

ALL_RIGHT = AttributeVerdict(True, True, True, True, True)
GOOD = InstanceScore(CIRCLE, CIRCLE, ALL_RIGHT, 0.9)
ROUGH = InstanceScore(CIRCLE, CIRCLE, ALL_RIGHT, 0.7)  # judged right, not drawn well
WRONG_SHAPE = InstanceScore(CIRCLE, SQUARE, AttributeVerdict(True, False, True, True, True), 0.95)
MISSING = InstanceScore(CIRCLE, None, AttributeVerdict(False, False, False, False, False), 0.2)


def scored(*instances: InstanceScore, psnr_db: float = 20.0) -> PictureScore:
    return PictureScore(list(instances), np.zeros(4), psnr_db)
