"""The check of pictures against their layouts: which instances are right, wrong or missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from ..geometry import box_iou
from ..language.answers import plain_text
from ..layout import Layout, LayoutError
from .detected import NO_PHRASE, Detected, Size, read_detections
from .matching import MATCH_IOU, Detection, PixelBox, Wanted, match, pixel_box
from .yes_no import yes_or_no

Mark = Literal["right", "wrong", "missing"]
MARK_WORDS: dict[Mark, str] = {"right": "right", "wrong": "wrong", "missing": "not found"}
STRETCH = 1.05  # ratio of proportions above which a picture is said to be stretched
MAX_SEEN = 200  # characters of an answer in a mark


@dataclass(frozen=True)
class Answer:
    """The answer about an instance. fits: None if it is neither yes nor no. text: as it was given."""

    fits: bool | None
    text: str


@dataclass(frozen=True)
class InstanceResult:
    """The result for one instance of a picture.

    box: the layout's box, in pixels of the picture.
    description: the local description.
    found: the matching detection; None without one, or if nothing was to be detected.
    iou: of the box and the matching detection, else the largest of the detections of its phrase.
    is_named: whether the detector could find it: one of its labels names the instance.
    answer: None if there are no answers.
    mark: right if what was detected is in the box and the answer is yes, as far as they were given.
    """

    box: PixelBox
    description: str
    found: Detection | None
    iou: float
    is_named: bool
    answer: Answer | None
    mark: Mark


@dataclass(frozen=True)
class ImageResult:
    """The results of one picture, in the layout's order. layout: its layout."""

    layout: Layout
    size: Size
    instances: tuple[InstanceResult, ...]

    def count(self, mark: Mark) -> int:
        return sum(instance.mark == mark for instance in self.instances)


@dataclass(frozen=True)
class CheckResult:
    """The results of all pictures.

    has_boxes, has_answers: what they were checked with.
    notices: what could not be used as it was given.
    """

    images: tuple[ImageResult, ...]
    has_boxes: bool
    has_answers: bool
    notices: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of instances of all pictures."""
        return sum(len(image.instances) for image in self.images)

    @property
    def successes(self) -> int:
        """Number of right instances of all pictures."""
        return sum(image.count("right") for image in self.images)

    @property
    def success_rate(self) -> float:
        """Fraction of right instances; 1 without instances."""
        return self.successes / self.total if self.total else 1.0

    @property
    def all_right(self) -> bool:
        return self.successes == self.total

    @cached_property
    def best_image(self) -> int:
        """Index of the picture with the largest fraction of right instances, then the fewest missing ones.

        The first of several.
        """

        def rank(index: int) -> tuple[float, int, int]:
            image = self.images[index]
            rate = image.count("right") / len(image.instances) if image.instances else 1.0
            return -rate, image.count("missing"), index

        return min(range(len(self.images)), key=rank)

    @property
    def failed(self) -> Layout:
        """The layout of the best picture with the instances alone that are not right in it."""
        best = self.images[self.best_image]
        kept = tuple(
            instance
            for instance, result in zip(best.layout.instances, best.instances, strict=True)
            if result.mark != "right"
        )
        return replace(best.layout, instances=kept)

    @property
    def marks(self) -> list[dict[str, Any]]:
        """The marks for the layout editor.

        box: number of the instance, from 1. mark: right, wrong or missing. image: index of the picture.
        seen: an answer that is neither yes nor no; absent for others.
        """
        marks: list[dict[str, Any]] = []
        for index, image in enumerate(self.images):
            for number, result in enumerate(image.instances, 1):
                mark = {"box": number, "mark": result.mark, "image": index}
                seen = "" if result.answer is None or result.answer.fits is not None else shown(result.answer)
                marks.append({**mark, "seen": seen} if seen else mark)
        return marks


def shown(answer: Answer) -> str:
    """The answer in one line of at most ``MAX_SEEN`` characters."""
    text = " ".join((plain_text(answer.text) or answer.text).split())
    return text if len(text) <= MAX_SEEN else f"{text[: MAX_SEEN - 3]}..."


def check(
    sizes: Sequence[Size],
    layouts: Sequence[Layout],
    boxes: Sequence[Any] | None = None,
    answers: Sequence[str] | None = None,
    least_iou: float = MATCH_IOU,
) -> CheckResult:
    """Check pictures against their layouts, as the evaluation does.

    sizes: width and height of each picture in pixels; at least one.
    layouts: one for all pictures, or one for each.
    boxes: what a detector found, see ``read_detections``; None without one.
    answers: whether each instance fits its description, yes or no, for the instances of the first
        picture, then of the second; None without answers.
    least_iou: intersection over union of a box and a detection that count as the same place.

    Raises LayoutError if neither boxes nor answers are given, for a wrong number of layouts, boxes or
    answers, and for boxes that cannot be read.
    """
    if boxes is None and answers is None:
        raise LayoutError(
            "Neither boxes nor answers are linked, so there is nothing to check. Link the boxes that a "
            "detector found for each description, or the answers of a vision-language model, or both."
        )
    if not sizes:
        raise LayoutError("No image is linked. Expected at least one.")
    if len(layouts) not in (1, len(sizes)):
        raise LayoutError(
            f"{len(layouts)} layouts are linked for {len(sizes)} images. Expected one layout for all "
            "images, or one for each."
        )
    layouts = list(layouts) * len(sizes) if len(layouts) == 1 else list(layouts)
    detected = [None] * len(sizes) if boxes is None else read_detections(boxes, sizes, layouts)
    given = _answers_of(answers, layouts)
    images = tuple(
        _check_image(*each, least_iou) for each in zip(sizes, layouts, detected, given, strict=True)
    )
    notices = [
        *_stretched(sizes, layouts),
        *(notice for each in detected if each is not None for notice in each.notices),
        *_unclear(given),
    ]
    if not any(layout.instances for layout in layouts):
        notices.append("The layout has no instances: there was nothing to check.")
    return CheckResult(images, boxes is not None, answers is not None, tuple(dict.fromkeys(notices)))


def _check_image(
    size: Size,
    layout: Layout,
    detected: Detected | None,
    answers: Sequence[Answer | None],
    least_iou: float,
) -> ImageResult:
    boxes = [pixel_box(box, size) for box in layout.boxes]
    phrases = [NO_PHRASE] * len(boxes) if detected is None else detected.phrases
    detections = () if detected is None else detected.detections
    wanted = [Wanted(box, phrase) for box, phrase in zip(boxes, phrases, strict=True)]
    matches = match(detections, wanted, least_iou)
    results = []
    for each, found, answer, description in zip(
        wanted, matches, answers, layout.local_descriptions, strict=True
    ):
        overlaps = (box_iou(each.box, other.box) for other in detections if other.phrase == each.phrase)
        results.append(
            InstanceResult(
                each.box,
                description,
                detections[found.detection] if found else None,
                found.iou if found else max(overlaps, default=0.0),
                detected is None or each.phrase != NO_PHRASE,
                answer,
                _mark(detected is None or found is not None, answer),
            )
        )
    return ImageResult(layout, size, tuple(results))


def _mark(is_in_place: bool, answer: Answer | None) -> Mark:
    if not is_in_place:
        return "missing"
    return "right" if answer is None or answer.fits else "wrong"


def _answers_of(answers: Sequence[str] | None, layouts: Sequence[Layout]) -> list[list[Answer | None]]:
    """The answers about the instances of each picture. Raises LayoutError for a wrong number of them."""
    counts = [len(layout.instances) for layout in layouts]
    if answers is None:
        return [[None] * count for count in counts]
    if len(answers) != sum(counts):
        raise LayoutError(
            f"{len(answers)} answers are linked for {sum(counts)} instances in {len(counts)} images. "
            "Expected one answer for each instance of each image, image after image, "
            "as IFAdapter Crops gives the questions of the same images and layout."
        )
    rest = iter(answers)
    return [[Answer(yes_or_no(text), text) for text in islice(rest, count)] for count in counts]


def _stretched(sizes: Sequence[Size], layouts: Sequence[Layout]) -> list[str]:
    """A notice for each picture whose proportions are not those of its layout."""
    notices = []
    for (width, height), layout in zip(sizes, layouts, strict=True):
        ratio = width * layout.height / (height * layout.width)
        if not 1 / STRETCH <= ratio <= STRETCH:
            notices.append(
                f"An image of {width} x {height} pixels has other proportions than its layout "
                f"({layout.width} x {layout.height}): the boxes were stretched."
            )
    return notices


def _unclear(given: Sequence[Sequence[Answer | None]]) -> list[str]:
    """A notice about answers that are neither yes nor no."""
    answers = [answer for image in given for answer in image if answer is not None]
    unclear = sum(answer.fits is None for answer in answers)
    if not unclear:
        return []
    return [f"{unclear} of {len(answers)} answers are neither yes nor no. They count as not right."]
