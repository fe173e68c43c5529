"""Layouts of whole pictures: boxes that a model finds or that COCO annotates, and their descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ifadapter_core.language.answers import description_of
from ifadapter_core.language.layout_prompt import DETAILED, NOTATIONS, SHORT, example_answer
from ifadapter_core.language.questions import caption_question, prompt_text
from ifadapter_core.layout import Box, Instance, Layout, LayoutError
from ifadapter_core.layout_formats import LayoutReading, read_layout

from ..vision_language import VisionLanguage
from .annotations import CocoPicture
from .coco import Selection, area

PROMPTS = Path(__file__).parent / "prompts"
MAX_SHOWN = 200  # characters of an answer in a message
SIDE_PX = 1024  # longest side of a picture that a model sees
# The rules of benchmarks, but for the number of boxes: that of the adapter's slots.
SELECTION = Selection(objects=(1, 10))


class NoDescriptionError(Exception):
    """The model's answer for a picture is no description. The message goes on a sentence about it."""


class Source(Protocol):
    """Where the boxes of pictures come from."""

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the layouts depend on beside the model, as JSON."""
        ...

    def knows(self, name: str) -> bool:
        """Whether there can be a layout of this picture. name: path within the folder."""
        ...

    def layout(self, name: str, picture: Image.Image, model: VisionLanguage) -> LayoutReading:
        """The layout of the whole picture, with at least one box, each with a description; and notices.

        Raises NoDescriptionError if there is none, AnswerError if the model fails.
        """
        ...


@dataclass(frozen=True)
class FoundBoxes:
    """Boxes that the model finds, with one question for a picture.

    notation: how it writes boxes, one of ``NOTATIONS``.
    crops: describe each box from its crop, with a question for each.
    selection: which boxes are kept: the largest.
    """

    notation: str
    crops: bool = False
    selection: Selection = SELECTION

    @cached_property
    def question(self) -> str:
        style = SHORT if self.crops else DETAILED
        fields = {
            "count": str(self.selection.objects[1]),
            "box": prompt_text(f"boxes_{self.notation}"),
            "description": _prompt(f"found_{style}"),
            "example": example_answer(NOTATIONS[self.notation], style),
        }
        text = _prompt("boxes")
        for name, value in fields.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    @property
    def settings(self) -> dict[str, Any]:
        return {"kind": "found boxes", "question": self.question, "crops": self.crops}

    def knows(self, name: str) -> bool:
        return True

    def layout(self, name: str, picture: Image.Image, model: VisionLanguage) -> LayoutReading:
        answer = model.ask(_scaled(picture), self.question)
        try:
            layout, notices = read_layout(answer, *picture.size)
        except LayoutError as error:
            shown = f"{error} Answer: {_shown(answer)}"
            raise NoDescriptionError(f"whose boxes cannot be read: {shown}") from error
        if not layout.caption.strip():
            raise NoDescriptionError(f"which got no caption. Answer: {_shown(answer)}")
        layout, left_out = kept(layout, self.selection)
        layout = with_crops(layout, picture, model) if self.crops else layout
        return LayoutReading(layout, (*notices, *left_out))


@dataclass(frozen=True)
class GivenBoxes:
    """Boxes of COCO's annotations, each described from its crop; a question for each and for the caption.

    pictures: by path within the folder. digest: of the annotations' file.
    """

    pictures: Mapping[str, CocoPicture]
    digest: str
    selection: Selection = SELECTION

    @property
    def settings(self) -> dict[str, Any]:
        prompts = {"caption": _prompt("caption"), "local_description": prompt_text("describe_named")}
        return {"kind": "COCO", "annotations": self.digest, "prompts": prompts}

    def knows(self, name: str) -> bool:
        return name in self.pictures

    def layout(self, name: str, picture: Image.Image, model: VisionLanguage) -> LayoutReading:
        annotated = self.pictures[name]
        if annotated.size != picture.size:
            raise NoDescriptionError(f"which has {picture.size} pixels, in its annotation {annotated.size}")
        ordered = sorted(annotated.objects, key=lambda each: (-each.area, isinstance(each.id, str), each.id))
        instances = tuple(Instance(each.box, each.category) for each in ordered)  # COCO has no depth
        layout, notices = kept(Layout(*picture.size, instances), self.selection)
        layout = with_crops(layout, picture, model)
        caption = ask(model, _scaled(picture), _prompt("caption"))
        return LayoutReading(replace(layout, caption=caption), notices)


def kept(layout: Layout, selection: Selection) -> LayoutReading:
    """The layout with its largest described boxes, in their order, and a notice if others are left out.

    Raises NoDescriptionError if there are too few.
    """
    every, (low, high) = layout.instances, selection.objects
    large = [
        index
        for index, each in enumerate(every)
        if each.local_description.strip() and area(each.box) > selection.area
    ]
    largest = sorted(sorted(large, key=lambda index: -area(every[index].box))[:high])
    if len(largest) < low:
        raise NoDescriptionError(f"in which no described thing covers more than {selection.area:.0%}")
    notice = (
        f"{len(every) - len(largest)} of {len(every)} boxes are left out: kept are at most {high}, the "
        f"largest, each with a description and more than {selection.area:.0%} of the picture."
    )
    layout = replace(layout, instances=tuple(every[index] for index in largest))
    return LayoutReading(layout, (notice,) if len(largest) < len(every) else ())


def with_crops(layout: Layout, picture: Image.Image, model: VisionLanguage) -> Layout:
    """The layout with the model's description of each crop in place of the description of its box."""
    described = (
        replace(
            each,
            local_description=ask(
                model, _scaled(crop_box(picture, each.box)), caption_question(each.local_description)
            ),
        )
        for each in layout.instances
    )
    return replace(layout, instances=tuple(described))


def ask(model: VisionLanguage, picture: Image.Image, question: str) -> str:
    """The answer as a description in one line. Raises NoDescriptionError if it is none."""
    answer = model.ask(picture, question)
    text = description_of(answer)
    if not text:
        raise NoDescriptionError(f"for which it answered {_shown(answer)}")
    return text


def crop_box(picture: Image.Image, box: Box) -> Image.Image:
    """Crop a box (fractions of the picture), rounded outwards to at least one whole pixel."""
    edges = ((box.x0, box.x1, picture.width), (box.y0, box.y1, picture.height))
    (x0, x1), (y0, y1) = ((int(low * side), -int(-high * side // 1)) for low, high, side in edges)
    return picture.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))


def _scaled(picture: Image.Image) -> Image.Image:
    """The picture with a longest side of at most ``SIDE_PX``."""
    if max(picture.size) <= SIDE_PX:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return smaller


def _prompt(name: str) -> str:
    return (PROMPTS / f"{name}.txt").read_text("utf-8").strip()


def _shown(answer: str) -> str:
    return repr(answer[:MAX_SHOWN])
