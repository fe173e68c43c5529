"""The detections and verdicts of one picture, and their JSON form."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ifadapter_core.checking.matching import Detection, PixelBox


@dataclass(frozen=True)
class InstanceScore:
    """The result for one instance of a layout.

    box: the layout's box, in pixels of the picture.
    description: the instance's local description.
    phrase: index of the description among the picture's distinct descriptions.
    detection: index of the matching detection; None if the instance was not found.
    iou: of the box and the matching detection; 0 if not found.
    verdicts: by verifier name; None if the answer was neither yes nor no; empty if not found.
    answers: raw text of the answers, by verifier name; only of verifiers that are models.
    """

    box: PixelBox
    description: str
    phrase: int
    detection: int | None
    iou: float
    verdicts: dict[str, bool | None]
    answers: dict[str, str]

    @property
    def found(self) -> bool:
        return self.detection is not None


@dataclass(frozen=True)
class PictureScore:
    """The result for one picture.

    name: the layout's name.
    digest: SHA-256 of the picture's file.
    size: width and height in pixels.
    detections: all detections of all phrases.
    instances: one result per instance, in the layout's order.
    """

    name: str
    digest: str
    size: tuple[int, int]
    detections: tuple[Detection, ...]
    instances: tuple[InstanceScore, ...]

    def successes(self, verifier: str) -> int:
        """Number of instances that were found and that this verifier accepts."""
        return sum(instance.verdicts.get(verifier) is True for instance in self.instances)


def to_json(score: PictureScore) -> dict[str, Any]:
    return asdict(score)


def from_json(text: str) -> PictureScore:
    """Raises ValueError if the text is not the JSON of a PictureScore."""
    try:
        data = json.loads(text)
        width, height = data["size"]
        detections = tuple(
            Detection(_box(each["box"]), each["score"], each["phrase"]) for each in data["detections"]
        )
        instances = tuple(InstanceScore(**{**each, "box": _box(each["box"])}) for each in data["instances"])
        return PictureScore(data["name"], data["digest"], (width, height), detections, instances)
    except (LookupError, TypeError) as error:
        raise ValueError(f"not a picture's score: {error!r}") from error


def _box(numbers: list[float]) -> PixelBox:
    x0, y0, x1, y1 = numbers
    return x0, y0, x1, y1
