"""JSON layouts in several formats, on a canvas of 1000 x 500 pixels."""

from __future__ import annotations

import json
from collections import namedtuple
from typing import Any

import pytest

from ifadapter_core.layout import Box, Layout
from ifadapter_core.layout_formats import from_json, read_layout, read_linked

WIDTH, HEIGHT = 1000, 500
Seg = namedtuple("Seg", "cropped_image cropped_mask confidence crop_region bbox label control_net_wrapper")


def own(*boxes: Any, **rest: Any) -> str:
    """A layout in our own format."""
    return json.dumps({"boxes": list(boxes), **rest})


def own_box(
    x: Any = 0.1, y: Any = 0.2, w: Any = 0.3, h: Any = 0.4, caption: Any = "a green sofa", **rest: Any
) -> dict[str, Any]:
    return {"x": x, "y": y, "w": w, "h": h, "caption": caption, **rest}


def host_box(x: Any = 100, y: Any = 50, width: Any = 300, height: Any = 200, **rest: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **rest}


def read(text: str, boxes: Any = None) -> Layout:
    return from_json(text, WIDTH, HEIGHT, boxes)


def check_box(got: Box, *want: float) -> None:
    assert tuple(got) == pytest.approx(want, abs=1e-12)


def seg(*bbox: Any, label: Any = "cat") -> Seg:
    return Seg(None, None, 0.9, (0, 0, 9, 9), bbox, label, None)


def notices_of(boxes: Any, text: str = "", bbox_format: str = "xywh") -> str:
    linked = read_linked(boxes, WIDTH, HEIGHT, bbox_format)
    return " ".join(read_layout(text, WIDTH, HEIGHT, linked).notices)
