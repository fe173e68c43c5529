"""Names, types and defaults of all inputs and outputs, which saved workflows rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import comfy_execution.validation
import pytest

import nodes
from loaded_pack import pack_module

SCHEDULE = {"strength": ("FLOAT", 1.0), "start_percent": ("FLOAT", 0.0), "end_percent": ("FLOAT", 1.0)}
# Saved workflows rely on every entry. New entries go to the end of a list; none is changed, moved
# or removed.
# id: (required inputs, optional inputs, outputs), inputs as name: (type, default).
CONTRACT: dict[str, tuple[dict, dict, list[tuple[str, str]]]] = {
    "IFAdapterLoader": ({"adapter_name": ("COMBO", None)}, {}, [("ifadapter", "IFADAPTER")]),
    "IFAdapterLayout": (
        {"layout": ("STRING", ANY), "width": ("INT", 1024), "height": ("INT", 1024)},
        {
            "boxes": ("BOUNDING_BOX,ARRAY,BBOX,SEGS", None),
            "masks": ("MASK", None),
            "bbox_format": ("COMBO", "xywh"),
            "background": ("IMAGE", None),
            "units": ("COMBO", "as written"),
            "layout_text": ("STRING", None),
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
    "IFAdapterLayoutPrompt": (
        {
            "request": ("STRING", ANY),
            "width": ("INT", 1024),
            "height": ("INT", 1024),
            "instances": ("INT", 0),
            "descriptions": ("COMBO", "detailed"),
            "model": ("COMBO", "any model"),
        },
        {},
        [("prompt", "STRING")],
    ),
    "IFAdapterCaptions": (
        {"captions": ("STRING", None)},
        {
            "boxes": ("BOUNDING_BOX,ARRAY,BBOX,SEGS", None),
            "layout": ("IFADAPTER_LAYOUT", None),
            "image": ("IMAGE", None),
            "width": ("INT", 1024),
            "height": ("INT", 1024),
            "caption": ("STRING", ""),
            "bbox_format": ("COMBO", "xywh"),
        },
        [("layout", "IFADAPTER_LAYOUT"), ("layout_text", "STRING")],
    ),
    "IFAdapterCrops": (
        {"image": ("IMAGE", None)},
        {
            "layout": ("IFADAPTER_LAYOUT", None),
            "boxes": ("BOUNDING_BOX,ARRAY,BBOX,SEGS", None),
            "context": ("FLOAT", 0.15),
            "size": ("INT", 1024),
            "question": ("COMBO", "describe"),
            "bbox_format": ("COMBO", "xywh"),
        },
        [
            ("crops", "IMAGE"),
            ("descriptions", "STRING"),
            ("masks", "MASK"),
            ("questions", "STRING"),
            ("layouts", "IFADAPTER_LAYOUT"),
            ("places", "IFADAPTER_PLACE"),
        ],
    ),
    "IFAdapterLayoutCrop": (
        {
            "layout": ("IFADAPTER_LAYOUT", None),
            "x": ("INT", 0),
            "y": ("INT", 0),
            "width": ("INT", 512),
            "height": ("INT", 512),
        },
        {"picture_width": ("INT", 0), "picture_height": ("INT", 0)},
        [("layout", "IFADAPTER_LAYOUT"), ("place", "IFADAPTER_PLACE")],
    ),
    "IFAdapterPaste": (
        {"image": ("IMAGE", None), "crops": ("IMAGE", None), "places": ("IFADAPTER_PLACE", None)},
        {"masks": ("MASK", None), "feather": ("INT", 16)},
        [("image", "IMAGE")],
    ),
    "IFAdapterCheck": (
        {"image": ("IMAGE", None), "layout": ("IFADAPTER_LAYOUT", None)},
        {"boxes": ("BOUNDING_BOX", None), "answers": ("STRING", None), "iou": ("FLOAT", 0.5)},
        [
            ("picture", "IMAGE"),
            ("report", "STRING"),
            ("success_rate", "FLOAT"),
            ("all_right", "BOOLEAN"),
            ("best_image", "INT"),
            ("failed", "IFADAPTER_LAYOUT"),
            ("failed_image", "IMAGE"),
            ("best_right", "BOOLEAN"),
        ],
    ),
    "IFAdapterLayoutOutputs": (
        {
            "layout": ("IFADAPTER_LAYOUT", None),
            "area": ("COMBO", "whole box"),
            "grow": ("INT", 0),
            "feather": ("INT", 0),
        },
        {},
        [
            ("masks", "MASK"),
            ("mask_list", "MASK"),
            ("boxes", "BOUNDING_BOX"),
            ("frames", "BOUNDING_BOX"),
            ("elements", "ARRAY"),
            ("bbox", "BBOX"),
            ("descriptions", "STRING"),
            ("text", "STRING"),
            ("segs", "SEGS"),
        ],
    ),
    "IFAdapterRegionalConditioning": (
        {
            "clip": ("CLIP", None),
            "layout": ("IFADAPTER_LAYOUT", None),
            "conditioning": ("CONDITIONING", None),
            "regions": ("COMBO", "masks"),
            "strength": ("FLOAT", 1.0),
            "area": ("COMBO", "whole box"),
            "feather": ("INT", 0),
            "background": ("COMBO", "outside the boxes"),
        },
        {},
        [("conditioning", "CONDITIONING")],
    ),
}
# Nodes that get whole lists.
LIST_INPUTS = {
    "IFAdapterBatchMaps",
    "IFAdapterCaptions",
    "IFAdapterCheck",
    "IFAdapterCrops",
    "IFAdapterPaste",
}
# Outputs that are lists: the following nodes run once for each entry.
LIST_OUTPUTS = {
    "IFAdapterCrops": ["crops", "descriptions", "masks", "questions", "layouts", "places"],
    "IFAdapterPaste": ["image"],
    "IFAdapterLayoutOutputs": ["mask_list", "descriptions"],
}
CATEGORIES = ("IFAdapter", "IFAdapter/layout", "IFAdapter/picture")


def info(node_id: str) -> dict[str, Any]:
    """The host's description of a node for its frontend."""
    return json.loads(json.dumps(nodes.NODE_CLASS_MAPPINGS[node_id].GET_NODE_INFO_V1()))


def test_nodes_module_is_the_hosts(host):
    """The pack has a package with the name of the host's nodes.py."""
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
    lists = zip(shown["output_name"], shown["output_is_list"], strict=True)
    assert [name for name, is_list in lists if is_list] == LIST_OUTPUTS.get(node_id, [])
    assert shown["is_input_list"] == (node_id in LIST_INPUTS)


def test_every_node_has_a_contract():
    assert {node_id for node_id in nodes.NODE_CLASS_MAPPINGS if node_id.startswith("IFAdapter")} == set(
        CONTRACT
    )
    assert info("IFAdapterSemanticMap")["input"]["optional"]["depth_order"][1]["options"][:2] == [
        "learned gate",
        "layout order",
    ]


@pytest.mark.parametrize("node_id", CONTRACT)
def test_every_input_and_output_has_a_tooltip(node_id):
    shown = info(node_id)
    assert shown["category"] in CATEGORIES
    assert shown["display_name"] == nodes.NODE_DISPLAY_NAME_MAPPINGS[node_id]
    assert "IFAdapter" in shown["display_name"]
    assert shown["description"]
    inputs = {**shown["input"].get("required", {}), **shown["input"].get("optional", {})}
    assert all(options.get("tooltip") for _, options in inputs.values())
    assert len(shown["output_tooltips"]) == len(shown["output"])
    assert all(shown["output_tooltips"])


def test_pack_exports_only_entry_point_and_scripts():
    module = pack_module()
    assert module.__all__ == ["WEB_DIRECTORY", "comfy_entrypoint"]
    web = Path(module.__file__).parent / module.WEB_DIRECTORY
    # The host loads every script of the folder: only this one may register something.
    registering = [path for path in web.rglob("*.js") if "registerExtension(" in path.read_text("utf-8")]
    assert [path.relative_to(web).as_posix() for path in registering] == ["host/widget.js"]
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")


@pytest.mark.parametrize("kind", ["BOUNDING_BOX", "ARRAY", "BBOX", "SEGS"])
@pytest.mark.parametrize("node_id", ["IFAdapterLayout", "IFAdapterCrops"])
def test_host_accepts_linked_boxes(kind, node_id):
    accepts = info(node_id)["input"]["optional"]["boxes"][0]
    assert comfy_execution.validation.validate_node_input(kind, accepts)
    assert not comfy_execution.validation.validate_node_input("IMAGE", accepts)
