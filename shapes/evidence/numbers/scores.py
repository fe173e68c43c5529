"""What is counted in one picture of a study. Judging processes import this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...drawing import Pixels
from ...recognition.frechet import features
from ...results.picture_score import MEASURES as JUDGED
from ...results.picture_score import InstanceScore, score_instances
from ...scene import Scene
from ..cache import Arrays
from ..looks.table import LOOKS

VERSION = 1  # of the scores; another one is not read from the cache
LEAKED = "leaked"
MEASURES = (*JUDGED, LEAKED)
TITLES = {
    "success": "judged right",
    "drawn_well": "drawn well",
    "found": "found",
    "shape": "shape",
    "colour": "colour",
    "pattern": "pattern",
    "pattern_colour": "pattern colour",
    LEAKED: "leaked",
}
# Groups of the instances of a layout with at least two; "all" has the others too.
PLACES = ("back", "middle", "front")
ALL = "all"


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of the I instances of P pictures.

    counts: (P,) instances of each picture; those of a picture are adjacent, from back to front.
    hits: bool (I, len(MEASURES)).
    features: float64 (P, F), of the Frechet distance.
    """

    counts: NDArray[np.int64]
    hits: NDArray[np.bool_]
    features: NDArray[np.float64]

    @property
    def picture(self) -> NDArray[np.int64]:
        """(I,) number of the picture of each instance."""
        return np.arange(len(self.counts)).repeat(self.counts)

    def chosen(self, group: str) -> NDArray[np.bool_]:
        """(I,) the instances of a group: ALL, or one of PLACES."""
        if group == ALL:
            return np.ones(len(self.hits), bool)
        ends = self.counts.cumsum()
        back, front = (np.zeros(len(self.hits), bool) for _ in range(2))
        several = self.counts > 1
        back[(ends - self.counts)[several]] = True
        front[ends[several] - 1] = True
        return {"back": back, "front": front, "middle": several[self.picture] & ~back & ~front}[group]

    def arrays(self) -> Arrays:
        return {"counts": self.counts, "hits": self.hits, "features": self.features}


def joined(parts: Sequence[Scores]) -> Scores:
    """The pictures of all parts, in this order."""
    return Scores(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("counts", "hits", "features"))
    )


def score(pictures: Pixels, scenes: Sequence[Scene], look: str = "plain") -> Scores:
    """Judge pictures (P, H, W, 3) of scenes in a look: restored to the plain one, which the judge knows.

    The features are those of the pictures as they are.
    """
    restore = LOOKS[look].restore
    judged = [
        score_instances(restore(picture), scene) for picture, scene in zip(pictures, scenes, strict=True)
    ]
    hits = [
        [one.has(measure) for measure in JUDGED] + [leaked(one, others(instances, number))]
        for instances in judged
        for number, one in enumerate(instances)
    ]
    return Scores(
        np.array([len(instances) for instances in judged], np.int64),
        np.array(hits, bool).reshape(-1, len(MEASURES)),
        np.stack([features(picture) for picture in pictures]),
    )


def others(instances: Sequence[InstanceScore], number: int) -> list[InstanceScore]:
    return [one for index, one in enumerate(instances) if index != number]


def leaked(one: InstanceScore, neighbours: Sequence[InstanceScore]) -> bool:
    """Whether a found instance has a wrong shape, colour or pattern that another one was asked for."""
    if one.seen is None:
        return False
    return any(
        getattr(one.seen, name) != getattr(one.asked, name)
        and any(getattr(other.asked, name) == getattr(one.seen, name) for other in neighbours)
        for name in ("shape", "colour", "pattern")
    )
