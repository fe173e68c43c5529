"""Outputs of a layout in graphs with ComfyUI's own nodes, on a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server_process import Server, messages

SIDE_PX = 256
LAYOUT = {
    "caption": "a room",
    "boxes": [
        {"x": 0.125, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "a red chair"},
        {"x": 0.5, "y": 0.5, "w": 0.375, "h": 0.25, "caption": "a blue lamp"},
    ],
}
MASKS, MASK_LIST, BOXES, FRAMES, ELEMENTS, NUMBERS, DESCRIPTIONS, TEXT, SEGS = range(9)
CROP = {"padding": 0, "keep_aspect": "stretch"}
Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def graph_of(layout: Any = LAYOUT, **shape: Any) -> Graph:
    """A layout and its outputs."""
    size = {"width": SIDE_PX, "height": SIDE_PX}
    shape = {"area": "whole box", "grow": 0, "feather": 0, **shape}
    return {
        "layout": node("IFAdapterLayout", layout=json.dumps(layout), **size),
        "outputs": node("IFAdapterLayoutOutputs", layout=["layout", 0], **shape),
    }


def images(server: Server, graph: Graph, name: str = "shown") -> list[dict[str, Any]]:
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", messages(entry, "execution_error")
    return entry["outputs"][name]["images"]


def test_nodes_run_over_the_lists(server: Server) -> None:
    """A node for one mask, and the text encoder, run once for each box."""
    graph = graph_of() | {
        "models": node("IFAdapterTestModels"),
        "picture": node("MaskToImage", mask=["outputs", MASK_LIST]),
        "shown": node("PreviewImage", images=["picture", 0]),
        "text": node("CLIPTextEncode", clip=["models", 1], text=["outputs", DESCRIPTIONS]),
        "masked": node(
            "ConditioningSetMask",
            conditioning=["text", 0],
            mask=["outputs", MASK_LIST],
            strength=1.0,
            set_cond_area="default",
        ),
        "latent": node("EmptyLatentImage", width=SIDE_PX, height=SIDE_PX, batch_size=1),
        "sampled": sampler(["models", 0], ["masked", 0], ["text", 0]),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["models", 2]),
        "pictures": node("PreviewImage", images=["decoded", 0]),
    }
    assert len(images(server, graph)) == 2
    assert len(images(server, graph, "pictures")) == 2


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("DrawBBoxes", {"bboxes": ["outputs", BOXES]}),
        ("CropByBBoxes", {"bboxes": ["outputs", FRAMES], "output_width": 64, "output_height": 64, **CROP}),
    ],
)
def test_boxes_reach_the_hosts_nodes(server: Server, class_type: str, inputs: dict[str, Any]) -> None:
    if class_type not in server.get(f"/object_info/{class_type}"):
        pytest.skip("this host has no such node")
    graph = graph_of() | {
        "picture": node("EmptyImage", width=SIDE_PX, height=SIDE_PX, batch_size=2, color=0),
        "made": node(class_type, image=["picture", 0], **inputs),
        "shown": node("PreviewImage", images=["made", 0]),
    }
    assert len(images(server, graph)) == 2


def test_text_and_boxes_linked_back_give_the_same_picture(server: Server) -> None:
    """The picture of a layout from linked boxes or SEGS is that of the layout itself."""

    def picture(**links: Any) -> bytes:
        size = {"width": SIDE_PX, "height": SIDE_PX}
        graph = graph_of()
        graph["again"] = node("IFAdapterLayout", **{"layout": json.dumps(LAYOUT), **links}, **size)
        graph["shown"] = node("PreviewImage", images=["again", 1])
        (image,) = images(server, graph)
        return (server.base / image["type"] / image["subfolder"] / image["filename"]).read_bytes()

    drawn = picture()
    assert drawn != picture(layout='{"boxes": []}')
    for output in (BOXES, ELEMENTS, SEGS):
        assert picture(layout="", boxes=["outputs", output]) == drawn


def test_an_empty_layout_runs_through_with_a_notice(server: Server) -> None:
    before = len(server.log)
    empty = graph_of({"caption": "a room", "boxes": []}) | {
        "models": node("IFAdapterTestModels"),
        "picture": node("MaskToImage", mask=["outputs", MASKS]),
        "list": node("MaskToImage", mask=["outputs", MASK_LIST]),
        "shown": node("PreviewImage", images=["picture", 0]),
        "listed": node("PreviewImage", images=["list", 0]),
        "text": node("CLIPTextEncode", clip=["models", 1], text=["outputs", DESCRIPTIONS]),
        **sampled(regional(["text", 0])),
    }
    entry = server.run(empty)
    assert entry["status"]["status_str"] == "success", messages(entry, "execution_error")
    shown = {name: len(entry["outputs"][name]["images"]) for name in ("shown", "listed", "pictures")}
    assert shown == {"shown": 1, "listed": 1, "pictures": 1}
    assert server.log[before:].count("The layout has no instances") == 1


def test_regional_conditioning_changes_the_picture(server: Server) -> None:
    def picture(positive: list) -> bytes:
        graph = graph_of() | {
            "models": node("IFAdapterTestModels"),
            "text": node("CLIPTextEncode", clip=["models", 1], text=["layout", 5]),
            **sampled(regional(["text", 0])),
        }
        graph["sampled"]["inputs"]["positive"] = positive
        (image,) = images(server, graph, "pictures")
        return (server.base / image["type"] / image["subfolder"] / image["filename"]).read_bytes()

    assert picture(["regions", 0]) != picture(["text", 0])


def regional(conditioning: list) -> Graph:
    inputs = {"clip": ["models", 1], "layout": ["layout", 0], "conditioning": conditioning}
    choices = {"regions": "masks", "strength": 1.0, "area": "visible part", "feather": 0}
    return {
        "regions": node("IFAdapterRegionalConditioning", **inputs, **choices, background="outside the boxes")
    }


def sampled(regions: Graph) -> Graph:
    """The graph from regional conditioning to pictures."""
    return regions | {
        "latent": node("EmptyLatentImage", width=SIDE_PX, height=SIDE_PX, batch_size=1),
        "sampled": sampler(["models", 0], ["regions", 0], ["text", 0]),
        "decoded": node("VAEDecode", samples=["sampled", 0], vae=["models", 2]),
        "pictures": node("PreviewImage", images=["decoded", 0]),
    }


def sampler(model: list, positive: list, negative: list) -> dict[str, Any]:
    links = {"model": model, "positive": positive, "negative": negative, "latent_image": ["latent", 0]}
    settings = {"seed": 1, "steps": 2, "cfg": 2.0, "denoise": 1.0}
    return node("KSampler", **links, **settings, sampler_name="euler", scheduler="normal")
