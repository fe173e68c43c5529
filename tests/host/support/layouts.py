"""One layout in every format that the layout node reads."""

from __future__ import annotations

import json
from typing import Any

import oracle

OWN_FORMAT = {
    "caption": "a room",
    "boxes": [
        {"x": 0.125, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "a red chair"},
        {"x": 0.5, "y": 0.5, "w": 0.375, "h": 0.25, "caption": "a blue lamp", "strength": 0.5},
    ],
}
CANVAS = {"width": 640, "height": 384}
BOXES = [(0.125, 0.25, 0.625, 0.75), (0.5, 0.5, 0.875, 0.75)]
WORDS = ["a red chair", "a blue lamp"]


def layout_of(
    node: Any, boxes: oracle.Boxes, width: int = 256, height: int = 256, words: str = "a thing"
) -> tuple:
    """Outputs of the layout node for these boxes."""
    entries = [{"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "caption": words} for x0, y0, x1, y1 in boxes]
    return node("IFAdapterLayout", layout=json.dumps({"boxes": entries}), width=width, height=height)


def release_format() -> dict:
    """Boxes in pixels of a 768 x 768 canvas; captions as a string or a list of one string."""
    boxes = [[round(v * 768) for v in (x0, y0, x1 - x0, y1 - y0)] for x0, y0, x1, y1 in BOXES]
    captions = [[WORDS[0]], WORDS[1]]
    return {
        "caption": "a room",
        "annotations": [{"box": b, "caption": c} for b, c in zip(boxes, captions, strict=True)],
    }


def bounding_boxes(described: bool = True) -> list[dict]:
    w, h = CANVAS["width"], CANVAS["height"]
    boxes = [
        {"x": x0 * w, "y": y0 * h, "width": (x1 - x0) * w, "height": (y1 - y0) * h}
        for x0, y0, x1, y1 in BOXES
    ]
    return [
        {**box, "metadata": {"desc": words}} if described else box
        for box, words in zip(boxes, WORDS, strict=True)
    ]


def elements() -> list[dict]:
    return [
        {"type": "obj", "bbox": [1000 * v for v in (y0, x0, y1, x1)], "desc": words}
        for (x0, y0, x1, y1), words in zip(BOXES, WORDS, strict=True)
    ]
