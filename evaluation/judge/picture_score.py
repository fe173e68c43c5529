"""What was found and judged in one picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from .detector import Detection, PixelBox


@dataclass(frozen=True)
class InstanceScore:
    """box: the wanted one, in pixels of the picture. phrase: the number of its description among the picture's.

    detection: the number of the detection that serves it, if any; iou: of the two boxes, else 0. verdicts: by the verifiers' names,
    None where there is no telling; none at all for what was not found. answers: the words that verdicts come from, where there are any.
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
    """digest: SHA-256 of the picture's file. size: width, height in pixels."""

    name: str
    digest: str
    size: tuple[int, int]
    detections: tuple[Detection, ...]
    instances: tuple[InstanceScore, ...]

    def successes(self, verifier: str) -> int:
        """Instances that were found and that this verifier calls right."""
        return sum(instance.verdicts.get(verifier) is True for instance in self.instances)


def to_json(score: PictureScore) -> dict[str, Any]:
    return asdict(score)


def from_json(text: str) -> PictureScore:
    """Raises ValueError when the text is no score of a picture."""
    try:
        data = json.loads(text)
        width, height = data["size"]
        detections = tuple(
            Detection(_box(each["box"]), each["score"], each["phrase"]) for each in data["detections"]
        )
        instances = tuple(InstanceScore(**{**each, "box": _box(each["box"])}) for each in data["instances"])
        return PictureScore(data["name"], data["digest"], (width, height), detections, instances)
    except (LookupError, TypeError) as error:
        raise ValueError(f"no score of a picture ({error!r})") from error


def _box(numbers: list[float]) -> PixelBox:
    x0, y0, x1, y1 = numbers
    return x0, y0, x1, y1
