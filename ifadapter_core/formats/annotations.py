"""Layouts of models and data sets, with all boxes under one key. Standard library only."""

from __future__ import annotations

from collections.abc import Callable

from ..layout import LayoutError
from .box_keys import CENTRED, RELEASE_BOX, XYWH_BBOX, xyxy
from .draft import Draft, Frame, LayoutFormat, Reading, has_keys
from .entries import draft_of
from .fields import caption_of, description_of, entry_of, kind_of, list_of, object_of

RELEASE_CANVAS_PX = 768  # side of the release's canvas, if the layout does not give its own


def read_release(data: dict, frame: Frame) -> Reading:
    """The format of the release's demo: [x, y, w, h] in pixels of a square canvas."""
    frame = frame.resized(
        data, default=frame.pixels._replace(width=RELEASE_CANVAS_PX, height=RELEASE_CANVAS_PX)
    )
    drafts = []
    for number, value in enumerate(list_of(data["annotations"], "annotations"), 1):
        entry = entry_of(value, number)
        alternatives = entry.get("caption")
        if isinstance(alternatives, list) and alternatives:  # the release reads the first
            entry = {**entry, "caption": alternatives[0]}
        drafts.append(draft_of(entry, number, frame, (RELEASE_BOX,)))
    return caption_of(data), drafts


def read_instance_diffusion(data: dict, frame: Frame) -> Reading:
    """InstanceDiffusion: {"annos": [{"bbox": [x, y, w, h], "caption"}]} in pixels of the given size."""
    frame = frame.resized(data)
    entries = enumerate(list_of(data["annos"], "annos"), 1)
    return caption_of(data), [draft_of(entry, number, frame, (XYWH_BBOX,)) for number, entry in entries]


def read_roboflow(data: dict, frame: Frame) -> Reading:
    """Roboflow: {"predictions": [{"x", "y", "width", "height", "class"}]}: centres, pixels of its image."""
    image = {} if data.get("image") is None else object_of(data["image"], "image")
    for key in ("width", "height"):
        given = [kind_of(size[key]) for size in (data, image) if size.get(key) is not None]
        if len(set(given)) > 1:
            raise LayoutError(
                f"The layout and its image have different values of {key}: {' and '.join(given)}. Keep one."
            )
    frame = frame.resized(data).resized(image, default=frame.resized(data).pixels)
    entries = enumerate(list_of(data["predictions"], "predictions"), 1)
    return caption_of(data), [draft_of(entry, number, frame, (CENTRED,)) for number, entry in entries]


def parallel_lists(boxes: str, descriptions: str, unit: str) -> Callable[[dict, Frame], Reading]:
    """A reader of boxes [x0, y0, x1, y1] and of descriptions in another list, under these keys."""

    def read(data: dict, frame: Frame) -> Reading:
        frame = frame.resized(data)
        rows, texts = list_of(data[boxes], boxes), list_of(data[descriptions], descriptions)
        if len(rows) != len(texts):
            raise LayoutError(
                f"'{boxes}' has {len(rows)} entries and '{descriptions}' has {len(texts)}; "
                "expected one description "
                "for each box."
            )
        drafts = [
            Draft(
                number,
                xyxy(row, f"Box {number} in '{boxes}'"),
                description_of({descriptions: text}, (descriptions,), number),
                frame.units or unit,
                frame.pixels,
            )
            for number, (row, text) in enumerate(zip(rows, texts, strict=True), 1)
        ]
        return caption_of(data), drafts

    return read


RELEASE = LayoutFormat(
    'the release\'s format {"caption": .., "annotations": [{"box": [x, y, w, h], "caption"}]}: pixels of a '
    f"{RELEASE_CANVAS_PX} x {RELEASE_CANVAS_PX} canvas",
    lambda data: has_keys(data, "annotations"),
    read_release,
)
INSTANCE_DIFFUSION = LayoutFormat(
    '{"annos": [{"bbox": [x, y, w, h], "caption"}]}: pixels (InstanceDiffusion)',
    lambda data: has_keys(data, "annos"),
    read_instance_diffusion,
)
ROBOFLOW = LayoutFormat(
    '{"predictions": [{"x", "y", "width", "height", "class"}]}: centres, pixels (Roboflow)',
    lambda data: has_keys(data, "predictions"),
    read_roboflow,
)
FLORENCE = LayoutFormat(
    '{"bboxes": [[x0, y0, x1, y1]], "labels": [..]}: pixels (Florence-2)',
    lambda data: has_keys(data, "bboxes", "labels"),
    parallel_lists("bboxes", "labels", "pixels"),
)
GLIGEN = LayoutFormat(
    '{"prompt", "phrases": [..], "boxes": [[x0, y0, x1, y1]]}: fractions (GLIGEN)',
    lambda data: has_keys(data, "phrases", "boxes"),
    parallel_lists("boxes", "phrases", "fractions"),
)
CREATILAYOUT = LayoutFormat(
    '{"region_bboxes_list": [[x0, y0, x1, y1]], "detail_region_caption_list": [..]}: fractions '
    "(CreatiLayout)",
    lambda data: has_keys(data, "region_bboxes_list", "detail_region_caption_list"),
    parallel_lists("region_bboxes_list", "detail_region_caption_list", "fractions"),
)
