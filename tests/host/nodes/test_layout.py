"""The layout node: formats, linked boxes and masks."""

from __future__ import annotations

import json
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch

import nodes
from ifadapter_core.links.texts import text_hash
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
        (["other", "words", "of three"], elements()),
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


def test_words_win_over_as_many_labels(node):
    layout = node("IFAdapterLayout", layout='["other", "words"]', boxes=elements(), **CANVAS)[0]
    assert layout.local_descriptions == ["other", "words"]


@pytest.mark.parametrize("change", [{}, {"version": 1, "units": "fractions"}])
def test_the_example_of_a_new_node_describes_no_linked_box(node, change):
    example = json.loads(nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].define_schema().inputs[0].default)
    text = json.dumps(example | change)
    assert node("IFAdapterLayout", layout=text, **CANVAS)[0].local_descriptions
    with pytest.raises(ValueError, match="Box 1 has no local description"):
        node("IFAdapterLayout", layout=text, boxes=bounding_boxes(described=False)[:1], **CANVAS)
    layout = node("IFAdapterLayout", layout=text, boxes=elements(), **CANVAS)[0]
    assert layout.local_descriptions == WORDS


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


def test_linked_segs(node):
    """SEGS of the Impact Pack, of a picture with half the canvas's sides."""
    Seg = namedtuple(
        "SEG", "cropped_image cropped_mask confidence crop_region bbox label control_net_wrapper"
    )
    width, height = CANVAS["width"] // 2, CANVAS["height"] // 2
    edges = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in BOXES]
    segs = [Seg(None, None, 0.9, box, box, words, None) for box, words in zip(edges, WORDS, strict=True)]
    assert_is_the_layout(node("IFAdapterLayout", layout="", boxes=((height, width), segs), **CANVAS)[0])


def run(**inputs) -> tuple:
    """The layout and the notices for the editor."""
    output = nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].execute(**inputs, **CANVAS)
    return output.result[0], output.ui.get("ifadapter_notices", [])


@pytest.mark.parametrize("boxes", [[], [[]], ((384, 640), [])])
def test_an_empty_detection_is_an_empty_layout(boxes, caplog):
    layout, notices = run(layout=json.dumps(OWN_FORMAT), boxes=boxes)
    assert layout.instances == ()
    assert "nothing was detected" in notices[0]
    assert caplog.text.count(notices[0]) == 1


def test_boxes_beyond_the_canvas_are_cut_or_left_out(caplog):
    boxes = [{**box, "x": x, "label": "a"} for box, x in zip(bounding_boxes(False), (-10, 700), strict=True)]
    layout, notices = run(layout="", boxes=boxes)
    assert layout.boxes[0].x0 == 0
    assert len(layout.instances) == 1
    assert notices == [
        "Linked boxes were cut at the edges of the canvas: box 1.",
        "Linked boxes outside of the canvas were left out: box 2.",
    ]
    assert all(caplog.text.count(notice) == 1 for notice in notices)


@pytest.mark.parametrize(
    ("units", "scale"), [("fractions", (1, 1)), ("pixels", (640, 384)), ("percent", (100, 100))]
)
def test_units_of_texts_that_state_none(units, scale):
    rows = [(x0 * scale[0], y0 * scale[1], x1 * scale[0], y1 * scale[1]) for x0, y0, x1, y1 in BOXES]
    boxes = [{"bbox_2d": row, "label": words} for row, words in zip(rows, WORDS, strict=True)]
    assert_is_the_layout(run(layout=json.dumps(boxes), units=units)[0])
    assert_is_the_layout(run(layout=json.dumps({**OWN_FORMAT, "units": "fractions"}), units=units)[0])
    stated = json.dumps({"boxes": boxes, "units": units})
    assert_is_the_layout(run(layout=stated, units="as written")[0])


def test_a_linked_text_counts_until_the_editor_has_taken_it_over(node):
    linked = json.dumps(OWN_FORMAT)
    drawn = {"boxes": [{"x": 0, "y": 0, "w": 1, "h": 1, "caption": "a drawn dog"}]}
    assert_is_the_layout(run(layout=json.dumps(drawn), layout_text=linked)[0])
    taken = json.dumps({**drawn, "taken_from": text_hash(linked)})
    assert run(layout=taken, layout_text=linked)[0].local_descriptions == ["a drawn dog"]
    assert_is_the_layout(run(layout=taken, layout_text=json.dumps(release_format()))[0])
    output = nodes.NODE_CLASS_MAPPINGS["IFAdapterLayout"].execute(layout="", layout_text=linked, **CANVAS)
    assert output.ui["ifadapter_text"] == [linked]
    with pytest.raises(ValueError, match="layout_text is empty"):
        node("IFAdapterLayout", layout=json.dumps(drawn), layout_text=" ", **CANVAS)


def test_units_of_the_node_apply_to_a_linked_text():
    rows = [(x0 * 640, y0 * 384, x1 * 640, y1 * 384) for x0, y0, x1, y1 in BOXES]
    boxes = [{"bbox_2d": row, "label": words} for row, words in zip(rows, WORDS, strict=True)]
    assert_is_the_layout(run(layout="", layout_text=json.dumps(boxes), units="pixels")[0])


def test_linked_boxes_replace_those_of_a_linked_text(caplog):
    linked = json.dumps({"caption": "a room", "boxes": [{**OWN_FORMAT["boxes"][0], "caption": "a chair"}]})
    boxes = bounding_boxes(described=False)[1:]
    layout, notices = run(layout="", layout_text=linked, boxes=boxes)
    assert (layout.caption, layout.local_descriptions) == ("a room", ["a chair"])
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor(BOXES[1:]))
    assert notices == ["The boxes come from the linked boxes; layout_text gives captions only."]
    assert caplog.text.count(notices[0]) == 1


def test_a_repaired_text_is_said_once(caplog):
    layout, notices = run(layout=f"Sure!\n```json\n{json.dumps(OWN_FORMAT)}\n```")
    assert_is_the_layout(layout)
    assert notices == ["The layout text was not plain JSON. Repaired: left out the text around the JSON."]
    assert caplog.text.count(notices[0]) == 1


def test_four_dimensional_masks_and_lists_of_masks(node):
    masks = torch.zeros(2, 96, 160)
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES, strict=True):
        mask[round(96 * y0) : round(96 * y1), round(160 * x0) : round(160 * x1)] = 1
    smaller = torch.nn.functional.interpolate(masks[1:, None], scale_factor=0.5)[0]
    for given in (masks[:, None], masks[None], list(masks), [masks[:1], masks[1]], (masks[0], smaller)):
        layout = node("IFAdapterLayout", layout=json.dumps(WORDS), masks=given, **CANVAS)[0]
        assert torch.allclose(torch.tensor(layout.boxes), torch.tensor(BOXES), atol=1 / 48)
    assert run(layout="", masks=masks[:0])[1] == [
        "The linked masks are empty: there is none, so the layout has no instances."
    ]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.ones(1, 8, 8, 3), "picture's. Connect it through Convert Image to Mask"),
        (torch.ones(2, 3, 8, 8), "expected \\(number, height, width\\)"),
        (torch.ones(8), "expected \\(number, height, width\\)"),
        (torch.ones(1, 0, 8), "at least one pixel"),
        (torch.ones(1, 8, 8, dtype=torch.complex64), "complex64"),
        ("a mask", "type str"),
        ([torch.ones(8, 8), None], "type NoneType"),
        (torch.full((1, 8, 8), float("nan")), "Mask 1 is not finite"),
        ([torch.ones(8, 8), torch.full((8, 8), float("inf"))], "Mask 2 is not finite"),
        (torch.ones(1, 8, 8, device="meta"), "no values"),
    ],
)
def test_unusable_masks_are_a_layout_error(node, masks, message):
    with pytest.raises(ValueError, match=message) as refusal:
        node("IFAdapterLayout", layout='["a"]', masks=masks, **CANVAS)
    assert type(refusal.value).__name__ == "LayoutError"


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
