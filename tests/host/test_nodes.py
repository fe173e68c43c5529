"""The nodes as users and saved workflows see them: their contract, pictures, switches, and the all-in-one node."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import comfy_execution.validation
import numpy as np
import pytest
import torch
from torch import Tensor

import dense
import nodes

SCHEDULE = {"strength": ("FLOAT", 1.0), "start_percent": ("FLOAT", 0.0), "end_percent": ("FLOAT", 1.0)}
# Saved workflows rely on all of it: entries may be added at the end of a list, never changed, moved or removed.
# id: (required inputs, optional inputs, outputs), inputs as name: (type, default).
CONTRACT: dict[str, tuple[dict, dict, list[tuple[str, str]]]] = {
    "IFAdapterLoader": ({"adapter_name": ("COMBO", None)}, {}, [("ifadapter", "IFADAPTER")]),
    "IFAdapterLayout": (
        {"layout": ("STRING", ANY), "width": ("INT", 1024), "height": ("INT", 1024)},
        {
            "boxes": ("BOUNDING_BOX,ARRAY,BBOX", None),
            "masks": ("MASK", None),
            "bbox_format": ("COMBO", "xywh"),
            "background": ("IMAGE", None),
        },
        [
            ("layout", "IFADAPTER_LAYOUT"),
            ("picture", "IMAGE"),
            ("prompt", "STRING"),
            ("width", "INT"),
            ("height", "INT"),
            ("caption", "STRING"),
        ],
    ),
    "IFAdapterEncode": (
        {
            "ifadapter": ("IFADAPTER", None),
            "clip": ("CLIP", None),
            "layout": ("IFADAPTER_LAYOUT", None),
            "use_appearance_tokens": ("BOOLEAN", True),
            "use_eot_token": ("BOOLEAN", True),
        },
        {},
        [("tokens", "IFADAPTER_TOKENS")],
    ),
    "IFAdapterSemanticMap": (
        {"tokens": ("IFADAPTER_TOKENS", None)},
        {"strengths": ("STRING", ""), "depth_order": ("COMBO", "learned gate"), "masks": ("MASK", None)},
        [("semantic_map", "IFADAPTER_MAP"), ("picture", "IMAGE")],
    ),
    "IFAdapterApply": (
        {
            "model": ("MODEL", None),
            "ifadapter": ("IFADAPTER", None),
            "semantic_map": ("IFADAPTER_MAP", None),
            **SCHEDULE,
        },
        {},
        [("model", "MODEL")],
    ),
    "IFAdapterSimple": (
        {
            "model": ("MODEL", None),
            "clip": ("CLIP", None),
            "ifadapter": ("IFADAPTER", None),
            "layout": ("IFADAPTER_LAYOUT", None),
        }
        | SCHEDULE,
        {},
        [("model", "MODEL")],
    ),
    "IFAdapterBatchMaps": (
        {"semantic_maps": ("IFADAPTER_MAP", None)},
        {"more_maps": ("IFADAPTER_MAP", None)},
        [("semantic_map", "IFADAPTER_MAP")],
    ),
    "IFAdapterDemoModels": (
        {},
        {},
        [("model", "MODEL"), ("clip", "CLIP"), ("vae", "VAE"), ("ifadapter", "IFADAPTER")],
    ),
}
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


def info(node_id: str) -> dict[str, Any]:
    """What the host tells its frontend about a node."""
    return json.loads(json.dumps(nodes.NODE_CLASS_MAPPINGS[node_id].GET_NODE_INFO_V1()))


def layout_of(
    node: Any, boxes: dense.Boxes, width: int = 256, height: int = 256, words: str = "a thing"
) -> tuple:
    """The layout node's outputs for these boxes."""
    entries = [{"x": x0, "y": y0, "w": x1 - x0, "h": y1 - y0, "caption": words} for x0, y0, x1, y1 in boxes]
    return node("IFAdapterLayout", layout=json.dumps({"boxes": entries}), width=width, height=height)


# The contract


def test_host_modules_are_those_of_the_host(host):
    """The pack has a package of the same name as the host's nodes.py."""
    assert Path(nodes.__file__) == host / "nodes.py"


@pytest.mark.parametrize("node_id", CONTRACT)
def test_contract(node_id):
    shown = info(node_id)
    assert shown["name"] == node_id
    for section, known in zip(("required", "optional"), CONTRACT[node_id], strict=False):
        given = shown["input"].get(section, {})
        names = shown["input_order"].get(section, [])
        assert names == list(given)
        assert names[: len(known)] == list(known)
        for name, (kind, default) in known.items():
            assert (given[name][0], given[name][1].get("default")) == (kind, default)
    outputs = list(zip(shown["output_name"], shown["output"], strict=True))
    assert outputs[: len(CONTRACT[node_id][2])] == CONTRACT[node_id][2]
    assert not any(shown["output_is_list"])
    assert shown["is_input_list"] == (node_id == "IFAdapterBatchMaps")


def test_no_node_is_without_a_contract():
    assert {node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter")} == set(
        CONTRACT
    )
    assert info("IFAdapterSemanticMap")["input"]["optional"]["depth_order"][1]["options"][:2] == [
        "learned gate",
        "layout order",
    ]


@pytest.mark.parametrize("node_id", CONTRACT)
def test_everything_is_explained(node_id):
    shown = info(node_id)
    assert shown["category"] == "IFAdapter"
    assert shown["display_name"] == nodes.NODE_DISPLAY_NAME_MAPPINGS[node_id]
    assert "IFAdapter" in shown["display_name"]
    assert shown["description"]
    inputs = {**shown["input"].get("required", {}), **shown["input"].get("optional", {})}
    assert all(options.get("tooltip") for _, options in inputs.values())
    assert len(shown["output_tooltips"]) == len(shown["output"])
    assert all(shown["output_tooltips"])


def test_pack_exports_its_entry_point_and_its_scripts_only():
    module = sys.modules[
        nodes.NODE_CLASS_MAPPINGS["IFAdapterLoader"].__module__.removesuffix(".nodes.loader")
    ]
    assert module.__all__ == ["WEB_DIRECTORY", "comfy_entrypoint"]
    assert sorted(
        path.name for path in (Path(module.__file__).parent / module.WEB_DIRECTORY).glob("*.js")
    ) == [
        "layout_model.js",
        "layout_view.js",
        "layout_widget.js",
    ]
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")


@pytest.mark.parametrize("kind", ["BOUNDING_BOX", "ARRAY", "BBOX"])
def test_host_lets_boxes_be_linked(kind):
    accepts = info("IFAdapterLayout")["input"]["optional"]["boxes"][0]
    assert comfy_execution.validation.validate_node_input(kind, accepts)
    assert not comfy_execution.validation.validate_node_input("IMAGE", accepts)


# The layout


def release_format() -> dict:
    """Pixels of a 768 x 768 canvas, and captions as text or as a list of one."""
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


def bare_numbers(bbox_format: str, kind: type) -> list:
    """The boxes in pixels as other packs link them."""
    boxes = [(box["x"], box["y"], box["width"], box["height"]) for box in bounding_boxes()]
    return [kind((x, y, w, h) if bbox_format == "xywh" else (x, y, x + w, y + h)) for x, y, w, h in boxes]


@pytest.mark.parametrize("kind", [tuple, list, np.array, torch.tensor])
@pytest.mark.parametrize("bbox_format", ["xywh", "xyxy"])
def test_linked_boxes_of_bare_numbers(node, bbox_format, kind):
    boxes = bare_numbers(bbox_format, kind)
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
def test_bare_numbers_in_the_wrong_format_are_an_error_that_names_it(node, given, taken_as):
    box = (400, 200, 100, 50) if given == "xywh" else (400, 200, 500, 250)
    with pytest.raises(ValueError, match="bbox_format"):
        node("IFAdapterLayout", layout='["a chair"]', boxes=[box], bbox_format=taken_as, **CANVAS)


def test_masks_give_their_boxes(node):
    masks = torch.zeros(2, 96, 160)  # a quarter of the canvas
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES, strict=True):
        mask[round(96 * y0) : round(96 * y1), round(160 * x0) : round(160 * x1)] = 1
        mask[0, 0] = 0.4  # not painted enough
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


def test_boxes_of_the_hosts_own_editor(node):
    editor = pytest.importorskip("comfy_extras.nodes_bounding_boxes", reason="this host has no box editor")
    drawn = [
        {key: round(v) if key != "metadata" else v for key, v in box.items()} for box in bounding_boxes()
    ]
    _, boxes, made = editor.CreateBoundingBoxes.execute(editor_state=drawn, **CANVAS).result
    assert_is_the_layout(node("IFAdapterLayout", layout=json.dumps(WORDS), boxes=boxes, **CANVAS)[0])
    assert_is_the_layout(node("IFAdapterLayout", layout="", boxes=made, **CANVAS)[0])


def test_default_layout_is_an_example_that_works(node):
    example = info("IFAdapterLayout")["input"]["required"]["layout"][1]["default"]
    layout, _, prompt, *_ = node("IFAdapterLayout", layout=example, width=1024, height=1024)
    assert len(layout.instances) == 2
    assert prompt == ", ".join([layout.caption, *layout.local_descriptions])


@pytest.mark.parametrize(
    "text", ["{", '{"boxes": 3}', '{"boxes": [{"x": 2, "y": 0, "w": 1, "h": 1, "caption": "a"}]}', "3"]
)
def test_what_is_no_layout_is_an_error(node, text):
    with pytest.raises(ValueError, match=r"(?i)layout|box"):
        node("IFAdapterLayout", layout=text, **CANVAS)


# Pictures


def assert_is_an_image(picture: Tensor, height: int, width: int) -> None:
    assert picture.shape == (1, height, width, 3)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1


def test_layout_picture_shows_the_boxes(node):
    boxes = [(0.1, 0.2, 0.45, 0.8), (0.55, 0.2, 0.9, 0.8)]
    picture = layout_of(node, boxes, 640, 400)[1]
    assert_is_an_image(picture, 400, 640)
    outside = picture[0, 20, 320]
    colours = []
    for x0, y0, x1, y1 in boxes:
        edge = picture[0, int(y0 * 400), int(x1 * 640) - 20]
        inside = picture[0, int(y1 * 400) - 20, int(x1 * 640) - 20]
        full, tint = edge - outside, inside - outside
        assert full.abs().max() > 0.2
        assert torch.cosine_similarity(full, tint, dim=0) > 0.99
        assert 0.05 < (tint.norm() / full.norm()).item() < 0.95  # see-through
        assert torch.equal(picture[0, int(y1 * 400) + 5, int(x0 * 640)], outside)
        colours.append(edge)
    assert (colours[0] - colours[1]).abs().max() > 0.2


def test_pictures_of_large_canvases_are_smaller(node):
    assert layout_of(node, dense.ONE, 4096, 2048)[1].shape == (1, 512, 1024, 3)


@pytest.mark.parametrize(("width", "height"), [(64, 16384), (16384, 64), (64, 64), (16384, 16384)])
@pytest.mark.parametrize(
    "words",
    ["word " * 400, "x" * 3000, "\u65e5\u672c\u8a9e \U0001f600"],
    ids=["long text", "long word", "unicode"],
)
def test_pictures_of_extremes(node, make_tokens, width, height, words):
    layout, picture, *_ = layout_of(
        node, [(0.0, 0.0, 0.001, 1.0), (0.999, 0.999, 1.0, 1.0), *dense.TEN], width, height, words
    )
    assert_is_an_image(
        picture, *(max(1, round(side * min(1.0, 1024 / max(width, height)))) for side in (height, width))
    )
    tokens = replace(make_tokens(layout.boxes), canvas=(width, height))
    assert_is_an_image(node("IFAdapterSemanticMap", tokens=tokens)[1], *picture.shape[1:3])


def test_pictures_of_a_hundred_instances(node, make_tokens):
    boxes = [
        (0.1 * (i % 10), 0.1 * (i // 10), 0.1 * (i % 10) + 0.1, 0.1 * (i // 10) + 0.1) for i in range(100)
    ]
    layout, picture, *_ = layout_of(node, boxes, 512, 512)
    assert len(layout.instances) == 100
    assert_is_an_image(picture, 512, 512)
    assert_is_an_image(node("IFAdapterSemanticMap", tokens=make_tokens(boxes[:20]))[1], 1024, 1024)


def owners(
    node: Any, make_tokens: Any, boxes: dense.Boxes, size: tuple[int, int], **inputs: Any
) -> list[list[int]]:
    """Which instance, or -1, the semantic map's picture shows in each cell of 32 pixels."""
    width, height = size

    def colours(shown: dense.Boxes, **more: Any) -> Tensor:
        picture = node("IFAdapterSemanticMap", tokens=replace(make_tokens(shown), canvas=size), **more)[1]
        assert picture.shape == (1, height, width, 3)
        return picture[0, 26::32, 24::32]  # clear of outlines and of the numbers in the corners

    key = colours(
        [(i / len(boxes), 0.0, (i + 1) / len(boxes), 0.5) for i in range(len(boxes))]
    )  # beside each other, ground below
    known = [key[0, int((i + 0.5) / len(boxes) * key.shape[1])] for i in range(len(boxes))] + [key[-1, 0]]
    assert len({tuple(colour.tolist()) for colour in known}) == len(known)
    numbers = [*range(len(boxes)), -1]
    cells = colours(boxes, **inputs)
    return [
        [
            next(n for n, colour in zip(numbers, known, strict=True) if torch.equal(cell, colour))
            for cell in row
        ]
        for row in cells
    ]


LARGE, SMALL = (
    (0.0, 0.0, 0.75, 1.0),
    (0.25, 0.25, 1.0, 0.5),
)  # of 8 x 4 cells: 24 cells and 6, 4 of them in both


@pytest.mark.parametrize("order", ["learned gate", "layout order"])
@pytest.mark.parametrize(
    "boxes", [[LARGE, SMALL], [SMALL, LARGE]], ids=["small one in front", "large one in front"]
)
def test_map_picture_shows_who_owns_each_cell(node, make_tokens, boxes, order):
    """With the learned gate the smaller box has the larger gate; by layout order the later one stands in front."""
    large, small = boxes.index(LARGE), boxes.index(SMALL)
    both = small if order == "learned gate" else 1
    expected = [
        [large] * 6 + [-1] * 2,
        [large] * 2 + [both] * 4 + [small] * 2,
        [large] * 6 + [-1] * 2,
        [large] * 6 + [-1] * 2,
    ]
    assert owners(node, make_tokens, boxes, (256, 128), depth_order=order) == expected


def test_map_picture_shows_masks(node, make_tokens):
    masks = torch.ones(1, 128, 256)
    masks[0, :, :96] = 0
    assert owners(node, make_tokens, [LARGE], (256, 128), masks=masks) == [[-1] * 3 + [0] * 3 + [-1] * 2] * 4


# Encoding, and all in one


@pytest.fixture(scope="module")
def layout(node):
    return node("IFAdapterLayout", layout=json.dumps(OWN_FORMAT), **CANVAS)[0]


def test_tokens_carry_the_layout(node, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    assert tokens.cond.shape == tokens.uncond.shape == (2, 13, 96)
    assert tokens.strengths == (1.0, 0.5)
    assert tokens.canvas == (640, 384)
    assert torch.allclose(tokens.boxes, torch.tensor(BOXES))


def test_strengths_of_the_layout_act_like_those_of_the_node(node, apply, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    inputs = dense.make_inputs(2)
    own, written, even = (
        dense.predict(apply(tokens, strengths=text), inputs) for text in ("", "1, 0.5", "1, 1")
    )
    assert torch.equal(own, written)
    assert dense.difference(own, even) > 0.01


@pytest.mark.parametrize(
    ("appearance", "eot", "kept"),
    [(True, True, slice(0, 13)), (True, False, slice(0, 12)), (False, True, slice(12, 13))],
)
def test_encode_switches(node, apply, model, checkpoint, ifadapter, clip, layout, appearance, eot, kept):
    """Which of the 13 tokens are left; what is left acts as the reference has it."""
    every = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    tokens = node(
        "IFAdapterEncode",
        ifadapter=ifadapter,
        clip=clip,
        layout=layout,
        use_appearance_tokens=appearance,
        use_eot_token=eot,
    )[0]
    assert torch.equal(tokens.cond, every.cond[:, kept])
    assert torch.equal(tokens.uncond, every.uncond[:, kept])
    term = dense.make_term(checkpoint, dense.make_phrases(2), BOXES, strengths=(1.0, 0.5))
    expected = dense.place(model, replace(term, cond=tokens.cond.double(), uncond=tokens.uncond.double()))
    inputs = dense.make_inputs(2)
    assert dense.difference(dense.predict(apply(tokens), inputs), dense.predict(expected, inputs)) <= 5e-5


def test_both_switches_off_is_an_error(node, ifadapter, clip, layout):
    with pytest.raises(ValueError, match="Switch one of them on"):
        node(
            "IFAdapterEncode",
            ifadapter=ifadapter,
            clip=clip,
            layout=layout,
            use_appearance_tokens=False,
            use_eot_token=False,
        )


def test_no_instances(node, apply, model, ifadapter, clip, caplog):
    empty, picture, prompt, *_ = node("IFAdapterLayout", layout="", width=256, height=128)
    assert picture.shape == (1, 128, 256, 3)
    assert prompt == ""
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=empty)[0]
    assert tokens.cond.shape == tokens.uncond.shape == (0, 13, 96)
    assert node("IFAdapterSemanticMap", tokens=tokens)[1].shape == (1, 128, 256, 3)
    with caplog.at_level(logging.WARNING):
        patched = apply(tokens)
    assert ["no instances" in record.getMessage() for record in caplog.records] == [True]
    assert patched is not model


def test_all_in_one_equals_the_three_nodes(node, apply, model, ifadapter, clip, layout):
    tokens = node("IFAdapterEncode", ifadapter=ifadapter, clip=clip, layout=layout)[0]
    schedule = {"strength": 0.8, "start_percent": 0.1, "end_percent": 0.7}
    simple = node("IFAdapterSimple", model=model, clip=clip, ifadapter=ifadapter, layout=layout, **schedule)[
        0
    ]
    inputs = dense.make_inputs(2)
    for sigma in (14.0, 5.0, 0.1):  # before, inside and after the window
        assert torch.equal(
            dense.predict(simple, inputs, sigma=sigma),
            dense.predict(apply(tokens, **schedule), inputs, sigma=sigma),
        )
    assert not torch.equal(dense.predict(simple, inputs), dense.predict(model, inputs))
