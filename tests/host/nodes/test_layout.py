"""The layout node: formats, linked boxes and masks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import nodes
from layouts import BOXES, CANVAS, OWN_FORMAT, WORDS, bounding_boxes, elements, release_format


def assert_is_the_layout(layout: Any) -> None:
    assert (layout.width, layout.height) == (CANVAS["width"], CANVAS["height"])
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor(BOXES))
    assert layout.local_descriptions == WORDS


@pytest.mark.parametrize(
    "data",
    [OWN_FORMAT, release_format(), bounding_boxes(), elements()],
    ids=["own", "release", "pixels", "elements"],
)
def test_layout_formats(node, data):
    layout, picture, prompt, width, height, caption = node(
        "IFAdapterLayout", layout=json.dumps(data), **CANVAS
    )
    assert_is_the_layout(layout)
    assert (width, height) == (640, 384)
    assert prompt == ("a room, a red chair, a blue lamp" if "caption" in data else "a red chair, a blue lamp")
    assert caption == data["caption"] if "caption" in data else caption == ""
    assert picture.shape == (1, 384, 640, 3)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        (OWN_FORMAT, bounding_boxes(described=False)),
        (WORDS, bounding_boxes(described=False)),
        (WORDS, [bounding_boxes(described=False)]),
        ("", bounding_boxes()),
        ("", elements()),
        (["other", "words"], elements()),
    ],
    ids=[
        "over other boxes",
        "for words alone",
        "as one frame",
        "with words",
        "as elements",
        "with words of their own",
    ],
)
def test_linked_boxes(node, text, boxes):
    text = json.dumps(text) if text else ""
    assert_is_the_layout(node("IFAdapterLayout", layout=text, boxes=boxes, **CANVAS)[0])


def test_single_linked_box(node):
    layout = node(
        "IFAdapterLayout", layout='["a red chair"]', boxes=bounding_boxes(described=False)[0], **CANVAS
    )[0]
    assert layout.local_descriptions == ["a red chair"]
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor(BOXES[:1]))


def plain_numbers(bbox_format: str, kind: type) -> list:
    """The boxes in pixels, as four plain numbers each."""
    boxes = [(box["x"], box["y"], box["width"], box["height"]) for box in bounding_boxes()]
    return [kind((x, y, w, h) if bbox_format == "xywh" else (x, y, x + w, y + h)) for x, y, w, h in boxes]


@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor])
@pytest.mark.parametrize("bbox_format", ["xywh", "xyxy"])
def test_linked_boxes_of_plain_numbers(node, bbox_format, kind):
    boxes = plain_numbers(bbox_format, kind)
    for linked in (boxes, [boxes]):
        assert_is_the_layout(
            node(
                "IFAdapterLayout", layout=json.dumps(WORDS), boxes=linked, bbox_format=bbox_format, **CANVAS
            )[0]
        )
    single = node(
        "IFAdapterLayout", layout=json.dumps(WORDS[:1]), boxes=boxes[0], bbox_format=bbox_format, **CANVAS
    )[0]
    assert torch.allclose(torch.tensor(single.boxes), torch.tensor(BOXES[:1]))


@pytest.mark.parametrize(("given", "taken_as"), [("xyxy", "xywh"), ("xywh", "xyxy")])
def test_plain_numbers_in_the_wrong_format_name_bbox_format(node, given, taken_as):
    box = (400, 200, 100, 50) if given == "xywh" else (400, 200, 500, 250)
    with pytest.raises(ValueError, match="bbox_format"):
        node("IFAdapterLayout", layout='["a chair"]', boxes=[box], bbox_format=taken_as, **CANVAS)


def test_boxes_around_masks(node):
    masks = torch.zeros(2, 96, 160)  # a quarter of the canvas
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES, strict=True):
        mask[round(96 * y0) : round(96 * y1), round(160 * x0) : round(160 * x1)] = 1
        mask[0, 0] = 0.4  # below one half, so it does not count
    layout = node("IFAdapterLayout", layout=json.dumps(WORDS), masks=masks, **CANVAS)[0]
    assert layout.local_descriptions == WORDS
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor(BOXES), atol=1 / 96)
    assert len(node("IFAdapterLayout", layout='["a chair"]', masks=masks[0], **CANVAS)[0].instances) == 1
    with pytest.raises(ValueError, match="Mask 2 is empty"):
        node(
            "IFAdapterLayout",
            layout=json.dumps(WORDS),
            masks=masks * torch.tensor([1.0, 0.4])[:, None, None],
            **CANVAS,
        )
    with pytest.raises(ValueError, match="Both boxes and masks"):
        node("IFAdapterLayout", layout="", masks=masks, boxes=bounding_boxes(), **CANVAS)


def test_boxes_of_the_host_box_editor(node):
    editor = pytest.importorskip("comfy_extras.nodes_bounding_boxes", reason="this host has no box editor")
    drawn = [
        {key: round(v) if key != "metadata" else v for key, v in box.items()} for box in bounding_boxes()
    ]
    _, boxes, made = editor.CreateBoundingBoxes.execute(editor_state=drawn, **CANVAS).result
    assert_is_the_layout(node("IFAdapterLayout", layout=json.dumps(WORDS), boxes=boxes, **CANVAS)[0])
    assert_is_the_layout(node("IFAdapterLayout", layout="", boxes=made, **CANVAS)[0])


def test_default_layout_is_valid(node):
    example = nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].GET_NODE_INFO_V1()["input"]["required"]["layout"][
        1
    ]["default"]
    layout, _, prompt, *_ = node("IFAdapterLayout", layout=example, width=1024, height=1024)
    assert len(layout.instances) == 2
    assert prompt == ", ".join([layout.caption, *layout.local_descriptions])


@pytest.mark.parametrize(
    "text", ["{", '{"boxes": 3}', '{"boxes": [{"x": 2, "y": 0, "w": 1, "h": 1, "caption": "a"}]}', "3"]
)
def test_invalid_layout_is_an_error(node, text):
    with pytest.raises(ValueError, match=r"(?i)layout|box"):
        node("IFAdapterLayout", layout=text, **CANVAS)
