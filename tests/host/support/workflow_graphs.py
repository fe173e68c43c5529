"""Committed workflows in API format, and changes to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ifadapter_core.layout import Layout
from ifadapter_core.layout_formats import from_json

PACK = Path(__file__).resolve().parents[3]
WORKFLOWS = ["place_things_with_boxes.json", "boxes_with_a_style_lora.json"]
NODES = {
    "IFAdapterLoader",
    "IFAdapterLayout",
    "IFAdapterEncode",
    "IFAdapterSemanticMap",
    "IFAdapterApply",
    "IFAdapterSimple",
    "IFAdapterDemoModels",
    "IFAdapterBatchMaps",
    "IFAdapterLayoutPrompt",
    "IFAdapterCaptions",
    "IFAdapterCrops",
    "IFAdapterLayoutCrop",
    "IFAdapterPaste",
    "IFAdapterCheck",
    "IFAdapterLayoutOutputs",
    "IFAdapterRegionalConditioning",
}
# Nodes that need files, and the nodes of small_models_pack in their place, with the inputs that these take.
STAND_INS: dict[str, tuple[str, list[str]]] = {
    "CheckpointLoaderSimple": ("IFAdapterTestModels", []),
    "CLIPLoader": ("IFAdapterTestModels", []),
    "TextGenerate": ("IFAdapterTestAnswers", ["prompt", "image"]),
    "SAM3_Detect": ("IFAdapterTestFound", ["image", "conditioning"]),
}
SIDE_PX = 256
STEPS = 3
Graph = dict[str, dict[str, Any]]


def workflow(name: str) -> Graph:
    """A committed workflow with the small models, a small canvas, few steps and no LoRA."""
    graph = committed(name)
    for node in all_of(graph, *STAND_INS):
        class_type, inputs = STAND_INS[graph[node]["class_type"]]
        given = graph[node]["inputs"]
        graph[node] = {
            "class_type": class_type,
            "inputs": {key: given[key] for key in inputs if key in given},
        }
    for node in all_of(graph, "LoraLoader"):
        given = graph.pop(node)["inputs"]
        relink(graph, node, lambda slot, given=given: (given["model"], given["clip"])[slot])
    for node in all_of(graph, "IFAdapterLayout"):
        graph[node]["inputs"].update(width=SIDE_PX, height=SIDE_PX)
    for node in all_of(graph, "KSampler"):
        graph[node]["inputs"]["steps"] = STEPS
    return graph


def committed(name: str) -> Graph:
    graph: Graph = json.loads((PACK / "workflows" / "api" / name).read_text(encoding="utf-8"))
    return graph


def layout_of(graph: Graph) -> Layout:
    given = graph[only(graph, "IFAdapterLayout")]["inputs"]
    return from_json(given["layout"], given["width"], given["height"])


def without_adapter(graph: Graph) -> Graph:
    """The graph without this pack's nodes: their outputs are replaced by plain values."""
    graph = copy.deepcopy(graph)
    given = graph[only(graph, "IFAdapterLayout")]["inputs"]
    prompt = layout_of(graph).prompt
    (apply,) = all_of(graph, "IFAdapterApply", "IFAdapterSimple")
    model = graph[apply]["inputs"]["model"]
    relink(graph, apply, lambda _slot: model)
    relink(
        graph,
        only(graph, "IFAdapterLayout"),
        lambda slot: [None, None, prompt, given["width"], given["height"]][slot],
    )
    for node in all_of(graph, *NODES, "PreviewImage"):
        del graph[node]
    return graph


def change(graph: Graph, *class_types: str, **values: Any) -> Graph:
    (node,) = all_of(graph, *class_types)
    assert values.keys() <= graph[node]["inputs"].keys(), f"{class_types} lacks one of {list(values)}"
    graph[node]["inputs"].update(values)
    return graph


def relink(graph: Graph, source: str, replacement: Callable[[int], Any]) -> None:
    """Replace all links to the node `source` by replacement(output slot)."""
    for node in graph.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == source:
                node["inputs"][name] = replacement(value[1])


def all_of(graph: Graph, *class_types: str) -> list[str]:
    return [number for number, node in graph.items() if node["class_type"] in class_types]


def only(graph: Graph, class_type: str) -> str:
    (number,) = all_of(graph, class_type)
    return number


def strength(graph: Graph, value: float) -> Graph:
    return change(graph, "IFAdapterApply", "IFAdapterSimple", strength=value)
