"""The layout outputs node, and the host's nodes that read its outputs."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from layouts import BOXES, CANVAS, OWN_FORMAT, WORDS
from loaded_pack import pack_module
from sampling import warnings_of

NAMES = ("masks", "mask_list", "boxes", "frames", "elements", "bbox", "descriptions", "text", "segs")
PIXELS = [(80, 96, 320, 192), (320, 192, 240, 96)]  # left, top, width, height of BOXES on the canvas


@pytest.fixture(scope="module")
def layout(node):
    return node("IFAdapterLayout", layout=json.dumps(OWN_FORMAT), **CANVAS)[0]


def outputs(node: Any, layout: Any, **changed: Any) -> dict[str, Any]:
    inputs = {"area": "whole box", "grow": 0, "feather": 0, **changed}
    return dict(zip(NAMES, node("IFAdapterLayoutOutputs", layout=layout, **inputs), strict=True))


def host_node(name: str) -> Any:
    """A V3 node of the host, by the module that holds it; skips where this host lacks it."""
    modules = {
        "DrawBBoxes": "nodes_rtdetr",
        "CropByBBoxes": "nodes_sdpose",
        "CreateBoundingBoxes": "nodes_bounding_boxes",
        "BuildJsonPromptIdeogram": "nodes_json_prompt",
        "SAM3_Detect": "nodes_sam3",
    }
    module = pytest.importorskip(f"comfy_extras.{modules[name]}", reason="this host has no such node")
    return getattr(module, name)


def test_masks_cover_the_boxes_and_the_list_is_the_batch(node, layout):
    made = outputs(node, layout)
    assert made["masks"].shape == (2, CANVAS["height"], CANVAS["width"])
    for mask, (x, y, w, h) in zip(made["masks"], PIXELS, strict=True):
        expected = torch.zeros_like(mask)
        expected[y : y + h, x : x + w] = 1
        assert torch.equal(mask, expected)
    assert torch.equal(torch.cat(made["mask_list"]), made["masks"])
    assert all(mask.ndim == 3 for mask in made["mask_list"])


def test_visible_part_grow_and_feather_reach_the_masks(node, layout):
    whole = outputs(node, layout)["masks"]
    visible = outputs(node, layout, area="visible part")["masks"]
    assert torch.equal(visible[1], whole[1])
    assert torch.equal(visible[0], whole[0] * (1 - whole[1]))
    grown = outputs(node, layout, grow=8)["masks"]
    assert grown[1, 184:296, 312:568].min() == 1
    assert grown[1].sum() == (96 + 16) * (240 + 16)
    soft = outputs(node, layout, feather=8)["masks"]
    assert 0 < soft[1, 240, 320] < 0.1
    assert soft[1, 240, 400] == 1


def test_texts_and_numbers(node, layout):
    made = outputs(node, layout)
    assert made["descriptions"] == WORDS
    assert made["bbox"] == PIXELS
    for link in ({"layout": made["text"]}, {"layout": "", "layout_text": made["text"]}):
        assert node("IFAdapterLayout", **link, **CANVAS)[0] == layout


@pytest.mark.parametrize("name", ["boxes", "elements", "bbox", "segs"])
def test_boxes_linked_to_the_layout_node_give_the_same_boxes(node, layout, name):
    linked = outputs(node, layout)[name]
    text = json.dumps(WORDS) if name == "bbox" else ""
    got = node("IFAdapterLayout", layout=text, boxes=linked, **CANVAS)[0]
    assert got.local_descriptions == WORDS
    for box, expected in zip(got.boxes, BOXES, strict=True):
        assert box == pytest.approx(expected, abs=1e-6)


def test_masks_linked_to_the_layout_node_give_the_same_boxes(node, layout):
    masks = outputs(node, layout)["masks"]
    got = node("IFAdapterLayout", layout=json.dumps(WORDS), masks=masks, **CANVAS)[0]
    assert got.boxes == layout.boxes


def test_an_empty_layout_gives_values_that_the_host_can_use_with_a_notice(node, caplog):
    empty = node("IFAdapterLayout", layout='{"boxes": []}', **CANVAS)[0]
    made = outputs(node, empty)
    assert "no instances" in warnings_of(caplog)[0]
    assert made["masks"].shape == (1, CANVAS["height"], CANVAS["width"])
    assert not made["masks"].any()
    assert [len(made[name]) for name in ("mask_list", "descriptions")] == [1, 1]
    assert (made["boxes"], made["frames"], made["elements"], made["bbox"]) == ([[]], [[]], [], [])
    assert made["segs"] == ((CANVAS["height"], CANVAS["width"]), [])
    for name in ("boxes", "segs"):
        assert node("IFAdapterLayout", layout="", boxes=made[name], **CANVAS)[0].instances == ()


def test_segs_are_of_the_impact_packs_own_type_where_it_is_loaded(node, layout, monkeypatch):
    """A module with the name and the type of that pack's; the real one was run by hand."""
    from collections import namedtuple

    fields = [
        "cropped_image",
        "cropped_mask",
        "confidence",
        "crop_region",
        "bbox",
        "label",
        "control_net_wrapper",
    ]
    impact = ModuleType("impact.core")
    impact.SEG = namedtuple("SEG", fields, defaults=[None])
    own = pack_module("ifadapter_core.conversions.segments").Segment
    for module, kind in ((None, own), (ModuleType("impact.core"), own), (impact, impact.SEG)):
        with monkeypatch.context() as patch:
            if module is not None:
                patch.setitem(sys.modules, "impact.core", module)
            size, segments = outputs(node, layout)["segs"]
        assert size == (CANVAS["height"], CANVAS["width"])
        assert [type(segment) for segment in segments] == [kind, kind]
        assert [segment.label for segment in segments] == WORDS
        for segment, (x, y, w, h) in zip(segments, PIXELS, strict=True):
            assert segment.bbox == (x, y, x + w, y + h)
            left, top, right, bottom = segment.crop_region
            assert isinstance(segment.cropped_mask, np.ndarray)
            assert segment.cropped_mask.shape == (bottom - top, right - left)
            assert segment.cropped_mask[y - top : y - top + h, x - left : x - left + w].min() == 1
            assert segment.cropped_mask.sum() == w * h


def test_a_changed_type_of_the_impact_pack_is_not_used(node, layout, monkeypatch):
    from collections import namedtuple

    impact = ModuleType("impact.core")
    impact.SEG = namedtuple("SEG", ["mask", "box"])
    monkeypatch.setitem(sys.modules, "impact.core", impact)
    assert outputs(node, layout)["segs"][1][0].bbox == (80, 96, 400, 288)


def test_draw_bboxes_draws_the_boxes(node, layout):
    draw = host_node("DrawBBoxes")
    picture = torch.zeros(1, CANVAS["height"], CANVAS["width"], 3)
    drawn = draw.execute(outputs(node, layout)["boxes"], picture).result[0]
    painted = (drawn[0].sum(dim=-1) > 0).nonzero()
    assert painted.min(dim=0).values.tolist() == [96, 80]
    right, bottom = max(x + w for x, _, w, _ in PIXELS), max(y + h for _, y, _, h in PIXELS)
    assert painted.max(dim=0).values.tolist() == [bottom, right]


def test_crop_by_bounding_boxes_gives_one_crop_for_each_frame(node, layout):
    crop = host_node("CropByBBoxes")
    height, width = CANVAS["height"], CANVAS["width"]
    ramp = torch.arange(width).float().expand(height, width) / width
    picture = ramp[None, :, :, None].expand(2, height, width, 3)
    crops = crop.execute(picture, outputs(node, layout)["frames"], 64, 64, 0).result[0]
    assert crops.shape == (2, 64, 64, 3)
    for part, (x, _, w, _) in zip(crops, PIXELS, strict=True):
        assert part.mean() == pytest.approx((x + w / 2 - 0.5) / width, abs=1e-3)


def test_create_bounding_boxes_round_trip(node, layout):
    """The host's editor is filled with boxes or elements; what it gives back is the same layout."""
    editor = host_node("CreateBoundingBoxes")
    made = outputs(node, layout)
    for linked in (made["boxes"], made["elements"]):
        _, boxes, elements = editor.execute(CANVAS["width"], CANVAS["height"], bboxes=linked).result
        assert elements == made["elements"]
        rows = [(box["x"], box["y"], box["width"], box["height"]) for box in boxes[0]]
        assert rows == PIXELS
        got = node("IFAdapterLayout", layout="", boxes=elements, **CANVAS)[0]
        assert got.boxes == layout.boxes
        assert got.local_descriptions == WORDS


def test_ideograms_prompt_holds_the_elements_and_is_read_back(node, layout):
    build = host_node("BuildJsonPromptIdeogram")
    elements = outputs(node, layout)["elements"]
    prompt = build.execute(elements, {"style": "none"}, high_level_description="a room").result[0]
    assert prompt["compositional_deconstruction"]["elements"] == elements
    got = node("IFAdapterLayout", layout=json.dumps(prompt), **CANVAS)[0]
    assert (got.caption, got.boxes) == (layout.caption, layout.boxes)
    assert got.local_descriptions == WORDS


class Sam(torch.nn.Module):
    """Stands in for SAM 3: records its box prompts, in its 1008 pixels, and gives a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[torch.Tensor] = []

    def forward_segment(self, frame: torch.Tensor, box_inputs: Any = None, mask_inputs: Any = None) -> Any:
        if box_inputs is not None:
            self.prompts.append(box_inputs)
        return torch.ones(1, 1, 8, 8)


def test_sam_3_takes_the_boxes_as_prompts(node, layout, monkeypatch):
    detect = host_node("SAM3_Detect")
    import comfy.model_management

    class Inner:
        diffusion_model = Sam()

        def get_dtype(self) -> torch.dtype:
            return torch.float32

    class Patcher:
        model = Inner()

    monkeypatch.setattr(comfy.model_management, "load_model_gpu", lambda model: None)
    picture = torch.zeros(1, CANVAS["height"], CANVAS["width"], 3)
    masks = detect.execute(
        Patcher(), picture, bboxes=outputs(node, layout)["boxes"], individual_masks=True
    ).result[0]
    assert masks.shape == (2, CANVAS["height"], CANVAS["width"])
    for prompt, (x0, y0, x1, y1) in zip(Inner.diffusion_model.prompts, BOXES, strict=True):
        corners = torch.tensor([[[x0 * 1008, y0 * 1008], [x1 * 1008, y1 * 1008]]])
        torch.testing.assert_close(prompt, corners)
