"""The boxes that detectors found in pictures, assigned to images and descriptions. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from ..formats.draft import Draft, Frame, stated_units
from ..formats.entries import draft_of
from ..formats.fields import Corners, kind_of, number_of
from ..formats.units import Canvas, to_fractions
from ..layout import Layout, LayoutError
from ..links.values import counted, plain
from .matching import Detection, PixelBox, pixel_box

Size = tuple[int, int]  # width and height of a picture in pixels
NO_PHRASE = -1  # of an instance that no label names
# A word; each character of scripts that are written without blanks (kana, Chinese characters).
WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
ARTICLES = {"a", "an", "the"}


class FoundBox(NamedTuple):
    """A box as a detector gives it. draft: its description is the detector's label, or ""."""

    draft: Draft
    score: float


Boxes = list[FoundBox]  # of a frame


@dataclass(frozen=True)
class Detected:
    """What was detected in one image.

    detections: of all phrases.
    phrases: of each instance, as an index; ``NO_PHRASE`` if no label names it.
    notices: detections that can match no instance.
    """

    detections: tuple[Detection, ...]
    phrases: tuple[int, ...]
    notices: tuple[str, ...] = ()


def read_detections(
    values: Sequence[Any], sizes: Sequence[Size], layouts: Sequence[Layout]
) -> list[Detected]:
    """The detections in each image.

    values: BOUNDING_BOX values: a list of boxes, or a list with a frame of boxes for each image. Either
        one value for each description, with a frame for each image; or one value for each description
        of each image, with one frame; or, if the boxes have labels or there are none, one value for all
        images, or for each image. Boxes are in pixels of their image.
    sizes: of the images.
    layouts: of the images.

    Raises LayoutError for boxes that cannot be read, and for another number of values or frames.
    """
    entries = [_frames_of(value) for value in values]
    _refuse_fractions(entries)
    if not any(layout.instances for layout in layouts):
        return [Detected((), ()) for _ in layouts]
    if any(box.draft.description for frames in entries for frame in frames for box in frame):
        by_image = _by_image(entries, len(sizes))
        if by_image is not None:
            return [_labelled(*each) for each in zip(by_image, sizes, layouts, strict=True)]
    by_description = _by_description(entries, layouts)
    if by_description is None:
        if not any(frame for frames in entries for frame in frames) and _by_image(entries, len(sizes)):
            return [Detected((), tuple(range(len(layout.instances)))) for layout in layouts]
        raise LayoutError(_wrong_count(entries, layouts))
    return [_described(*each) for each in zip(by_description, sizes, layouts, strict=True)]


def named_by(description: str, labels: Sequence[str]) -> int:
    """Index of the label that a description names, or ``NO_PHRASE``.

    A description names a label if it contains its words, in any case and number; an article before
    the label does not count. Of several labels it names the first, and of two that begin at the same word
    the longer one.
    """
    words = _words(description)
    best, key = NO_PHRASE, (len(words), 0)
    for index, label in enumerate(labels):
        wanted = _words(label)
        wanted = wanted[1:] if len(wanted) > 1 and wanted[0] in ARTICLES else wanted
        for start in range(len(words) - len(wanted) + 1 if wanted else 0):
            if words[start : start + len(wanted)] == wanted and (start, -len(wanted)) < key:
                best, key = index, (start, -len(wanted))
    return best


def _words(text: str) -> list[str]:
    """The words of a text in lower case, without the s of a plural."""
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in WORD.findall(text.lower())
    ]


def _frames_of(value: Any) -> list[Boxes]:
    """The frames of a BOUNDING_BOX value. Raises LayoutError."""
    value = plain(value)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise LayoutError(f"The linked boxes are {kind_of(value)}; expected a list of boxes.")
    frames = value if all(isinstance(part, (list, tuple)) for part in value) else [value]
    return [[_found(entry, number) for number, entry in enumerate(counted(frame), 1)] for frame in frames]


def _found(entry: Any, number: int) -> FoundBox:
    """A box that is read but not in pixels yet."""
    if not isinstance(entry, dict):
        raise LayoutError(
            f"Detected box {number} is {kind_of(entry)}; expected an object with x, y, width and height."
        )
    entry = {key: plain(part) for key, part in entry.items()}
    score = entry.pop("score", None)
    draft = draft_of(entry, number, Frame(Canvas(1, 1), stated_units(entry)))
    if draft.corners is None:
        raise LayoutError(
            f"Detected box {number} has no position: {kind_of(entry)}. Expected x, y, width and height."
        )
    return FoundBox(draft, 1.0 if score is None else number_of(score, f"The score of detected box {number}"))


def _by_image(entries: Sequence[list[Boxes]], images: int) -> list[Boxes] | None:
    """The labelled boxes of each image; None if these are not values for images."""
    if len(entries) == 1 and len(entries[0]) in (0, images):
        return entries[0] or [[] for _ in range(images)]
    if len(entries) == images and all(len(frames) <= 1 for frames in entries):
        return [_only(frames) for frames in entries]
    return None


def _by_description(entries: Sequence[list[Boxes]], layouts: Sequence[Layout]) -> list[list[Boxes]] | None:
    """The boxes for each description of each image; None if these are not values for descriptions."""
    images, counts = len(layouts), [len(layout.instances) for layout in layouts]
    same = all(layout.local_descriptions == layouts[0].local_descriptions for layout in layouts)
    # An empty value, without frames: nothing was detected in any image.
    if same and len(entries) == counts[0] and all(len(frames) in (0, images) for frames in entries):
        return [[frames[image] if frames else [] for frames in entries] for image in range(images)]
    if len(entries) == sum(counts) and all(len(frames) <= 1 for frames in entries):
        rest = iter(entries)
        return [[_only(next(rest)) for _ in range(count)] for count in counts]
    return None


def _only(frames: list[Boxes]) -> Boxes:
    return frames[0] if frames else []


def _wrong_count(entries: Sequence[list[Boxes]], layouts: Sequence[Layout]) -> str:
    images, counts = len(layouts), [len(layout.instances) for layout in layouts]
    frames = sorted({len(frames) for frames in entries})
    same = all(layout.local_descriptions == layouts[0].local_descriptions for layout in layouts)
    wanted = (
        f"{counts[0]} lists, one for each description, with a frame for each of the {images} images"
        if same
        else f"{sum(counts)} lists, one for each description of each of the {images} images"
    )
    return (
        f"{len(entries)} lists of boxes are linked, with {' or '.join(map(str, frames)) or 'no'} frames. "
        f"Expected {wanted}: run the detector on the list of descriptions. One list with a frame for each "
        "image does too, if its boxes have labels."
    )


def _described(per_description: Sequence[Boxes], size: Size, layout: Layout) -> Detected:
    """Detections of an image from the boxes for each of its descriptions.

    Equal descriptions are one phrase, and equal boxes of a phrase one detection.
    """
    phrases = list(dict.fromkeys(layout.local_descriptions))
    indices = tuple(phrases.index(description) for description in layout.local_descriptions)
    detections = dict.fromkeys(
        Detection(_pixels(box.draft, size), box.score, phrase)
        for phrase, boxes in zip(indices, per_description, strict=True)
        for box in boxes
    )
    return Detected(tuple(detections), indices)


def _labelled(boxes: Boxes, size: Size, layout: Layout) -> Detected:
    """Detections of an image from labelled boxes. Each instance takes the label that it names."""
    labels = list(dict.fromkeys(box.draft.description for box in boxes if box.draft.description))
    detections = tuple(
        Detection(_pixels(box.draft, size), box.score, labels.index(box.draft.description))
        for box in boxes
        if box.draft.description
    )
    phrases = tuple(named_by(description, labels) for description in layout.local_descriptions)
    notices = []
    if unnamed := [label for index, label in enumerate(labels) if index not in phrases]:
        notices.append(f"No description names the detector's label {', '.join(map(repr, unnamed))}.")
    if len(detections) < len(boxes):
        notices.append(f"{len(boxes) - len(detections)} detected boxes have no label and were left out.")
    return Detected(detections, phrases, tuple(notices))


def _refuse_fractions(entries: Sequence[list[Boxes]]) -> None:
    """Raise LayoutError if all boxes seem to be fractions. A single one may be a detection under a pixel."""
    drafts = [box.draft for frames in entries for frame in frames for box in frame]

    def is_fraction(draft: Draft) -> bool:
        corners = cast(Corners, draft.corners)
        return draft.unit == "pixels" and min(corners) >= 0 and max(corners) <= 1

    if drafts and all(map(is_fraction, drafts)):
        raise LayoutError(
            f"Detected box {drafts[0].number} has no number above 1, as if its numbers were fractions. "
            "Expected pixels of the image: multiply them by its width and height."
        )


def _pixels(draft: Draft, size: Size) -> PixelBox:
    """A box in pixels of its image, which it may exceed."""
    return pixel_box(to_fractions(cast(Corners, draft.corners), draft.unit, Canvas(*size)), size)
