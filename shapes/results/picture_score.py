"""The scores of one picture. Judging processes import this module, so it needs no diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..drawing import Pixels, draw
from ..recognition.detection import detect
from ..recognition.fitting import Fit
from ..recognition.frechet import features
from ..recognition.pixel_agreement import GOOD_SHARE, pixel_agreement, psnr_db
from ..recognition.verifier import ATTRIBUTES, AttributeVerdict, classify, judge
from ..sampler import World, sample_scene
from ..scene import Attributes, Scene

# What is counted for each instance: see ``InstanceScore.has``.
MEASURES = ("success", "drawn_well", *ATTRIBUTES)


@dataclass(frozen=True)
class InstanceScore:
    """The scores of one instance.

    asked: the attributes that it should have.
    seen: those that the judge recognized, right or wrong; None if the instance was not found.
    verdict: what is right about it.
    agreement: see ``pixel_agreement``.
    """

    asked: Attributes
    seen: Attributes | None
    verdict: AttributeVerdict
    agreement: float

    @property
    def drawn_well(self) -> bool:
        """Judged right, and at least ``GOOD_SHARE`` of its box's pixels have the drawing's colour."""
        return self.verdict.success and self.agreement >= GOOD_SHARE

    def has(self, measure: str) -> bool:
        """measure: one of MEASURES."""
        return self.drawn_well if measure == "drawn_well" else bool(getattr(self.verdict, measure))


@dataclass(frozen=True)
class PictureScore:
    """The scores of one picture.

    instances: from back to front.
    features: (F,), of the Frechet distance.
    psnr_db: to a drawing of the scene; infinite if equal.
    detections: figures found without the layout; None if the detector did not run.
    """

    instances: list[InstanceScore]
    features: NDArray[np.float64]
    psnr_db: float
    detections: list[Fit] | None = None


def score_instances(picture: Pixels, scene: Scene) -> list[InstanceScore]:
    """Score each instance of a picture (H, W, 3) against the scene that it should show."""
    boxes = [figure.box_px for figure in scene.figures]
    agreements = pixel_agreement(picture, draw(scene), boxes)
    scores = []
    for figure, found, agreement in zip(scene.figures, classify(picture, boxes), agreements, strict=True):
        verdict = judge(found, figure)
        seen = found.attributes if verdict.found else None
        scores.append(InstanceScore(figure.attributes, seen, verdict, float(agreement)))
    return scores


def score_picture(picture: Pixels, scene: Scene, detecting: bool = True) -> PictureScore:
    """Score a picture (H, W, 3) against the scene that it should show.

    detecting: whether the detector runs, which takes eight times as long as everything else.
    """
    return PictureScore(
        score_instances(picture, scene),
        features(picture),
        psnr_db(picture, draw(scene)),
        detect(picture) if detecting else None,
    )


def score_pictures(
    pictures: Pixels, scenes: Sequence[Scene], detecting: Sequence[bool]
) -> list[PictureScore]:
    """See ``score_picture``; one of each per picture."""
    return [score_picture(*each) for each in zip(pictures, scenes, detecting, strict=True)]


def reference_features(world: World, indices: Sequence[int]) -> NDArray[np.float64]:
    """Features of real drawings of a world's scenes: (indices, F)."""
    return np.stack([features(draw(sample_scene(world, index))) for index in indices])
