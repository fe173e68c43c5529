"""A layout from the answers of a vision-language model, one for each box. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from ..formats.fields import Corners, check_count, kind_of, shown
from ..formats.units import canvas_of
from ..layout import Box, Instance, Layout, LayoutError
from ..layout_formats import LayoutReading, Linked, read_linked
from ..links.boxes import inside
from .answers import description_of

Values = Sequence[Any]  # of an input, as a node gets them that takes lists
Numbered = tuple[int, Instance]  # the number of a box, for messages, and its instance


def caption_linked(
    answers: Sequence[str],
    boxes: Values | None,
    layouts: Values | None,
    width: int,
    height: int,
    *,
    caption: str = "",
    bbox_format: str = "xywh",
) -> LayoutReading:
    """The layout of the linked boxes, or the linked layout, with these answers.

    boxes: values of a link, see ``read_linked``, or None without a link.
    layouts: the same for layouts.
    width, height: of the picture that the boxes belong to, in pixels. A layout keeps its own.

    Raises LayoutError unless exactly one value is linked, and as ``caption_boxes`` and ``caption_layout``.
    """
    if (boxes is None) == (layouts is None):
        raise LayoutError(
            f"{'Neither boxes nor' if boxes is None else 'Both boxes and'} a layout are linked. Link the one "
            "of them that the crops were made from."
        )
    if boxes is not None:
        linked = read_linked(_only("boxes", boxes), width, height, bbox_format)
        return caption_boxes(answers, linked, width, height, caption)
    return caption_layout(answers, _only("layout", layouts or ()), caption)


def _only(name: str, values: Values) -> Any:
    if len(values) != 1:
        raise LayoutError(
            f"The input {name} got a list of {len(values)} values; a layout is one picture. Link the value "
            "of one picture."
        )
    return values[0]


def caption_boxes(
    answers: Sequence[str], linked: Linked, width: int, height: int, caption: str = ""
) -> LayoutReading:
    """The layout of linked boxes, each with its answer as local description.

    answers: one for each box; or one for each box that reaches into the canvas, as those that lie
        outside of it are left out.
    width, height: of the canvas in pixels.
    caption: global caption, perhaps an answer too.

    A box without a usable answer keeps its own description, such as a detector's label; with neither,
    it is left out. Notices name both.

    Raises LayoutError for another number of answers, and if no box has a description.
    """
    drafts, changes = inside(linked.drafts, canvas_of(width, height))
    check_count(len(drafts))
    if len(answers) == len(linked.drafts):
        answers = [answers[draft.number - 1] for draft in drafts]
    numbered = [
        (draft.number, Instance(Box(*cast(Corners, draft.corners)), draft.description, draft.strength))
        for draft in drafts
    ]
    instances, notices = _described(answers, numbered)
    caption, more = _global_caption(caption)
    return LayoutReading(
        Layout(width, height, tuple(instances), caption), (*linked.notices, *changes, *notices, *more)
    )


def caption_layout(answers: Sequence[str], layout: Layout, caption: str = "") -> LayoutReading:
    """The layout with each answer in place of a local description, and this caption if it has text.

    Raises LayoutError unless there is one answer for each instance.
    """
    instances, notices = _described(answers, list(enumerate(layout.instances, 1)))
    caption, more = _global_caption(caption)
    changed = replace(layout, instances=tuple(instances), caption=caption or layout.caption)
    return LayoutReading(changed, (*notices, *more))


def _described(answers: Sequence[str], numbered: Sequence[Numbered]) -> tuple[list[Instance], list[str]]:
    """The instances with their answers as descriptions, and notices about answers that are none."""
    if len(answers) != len(numbered):
        raise LayoutError(
            f"{_count(len(answers), 'caption')} for {_count(len(numbered), 'box', 'boxes')}; expected one "
            "for each box, in the same order. Link the boxes or the layout that the crops were made from, "
            "and give the language model the crops as a list: a batch of pictures gets one caption. Crops of "
            "several pictures are captioned one picture after the other."
        )
    instances, notices = [], []
    for answer in answers:
        if not isinstance(answer, str):
            raise LayoutError(f"A caption is {kind_of(answer)}; expected text. Link a STRING output.")
    for answer, (number, instance) in zip(answers, numbered, strict=True):
        text = description_of(answer)
        if text:
            instances.append(replace(instance, local_description=text))
            continue
        said = f"The caption of box {number} is no description ({shown(answer)})"
        if instance.local_description:
            instances.append(instance)
            notices.append(f"{said}: the box keeps {shown(instance.local_description)}.")
        else:
            notices.append(f"{said} and the box has none of its own: it was left out.")
    if numbered and not instances:
        raise LayoutError(
            f"None of the {_count(len(answers), 'caption')} is a description; the first is "
            f"{shown(answers[0])}. Choose another language model or a greater max_length."
        )
    return instances, notices


def _global_caption(caption: str) -> tuple[str, list[str]]:
    text = description_of(caption)
    if text or not caption.strip():
        return text, []
    return "", [f"The caption of the picture is no description ({shown(caption)}): it was left out."]


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
