"""The blueprints on a real server: listed, made of local nodes, and run with small models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server_process import ADAPTER, PACK, Server
from workflow_graphs import Graph, all_of, change

FOLDER = PACK / "subgraphs"
NAMES = sorted(path.stem for path in FOLDER.iterdir())
INSIDE, OUTSIDE = -10, -20  # ids of the nodes that stand for the subgraph's inputs and outputs
SIDE_PX = 256
CONTROL = "control_after_generate"  # a widget after a seed, without an input
BOX = {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "a red thing"}


def subgraph(name: str) -> dict[str, Any]:
    (found,) = json.loads((FOLDER / f"{name}.json").read_text("ascii"))["definitions"]["subgraphs"]
    return found


def info(server: Server, kind: str) -> dict[str, Any]:
    """The host's description of a node. Skips the test if it has none."""
    found = server.get(f"/object_info/{kind}")
    if kind not in found:
        pytest.skip(f"this host has no node {kind}")
    return found[kind]


def declared(node_info: dict[str, Any]) -> dict[str, list[Any]]:
    return {**node_info["input"].get("required", {}), **node_info["input"].get("optional", {})}


def expanded(server: Server, name: str, **given: Any) -> tuple[Graph, dict[str, list[Any]]]:
    """The prompt that the page sends for a blueprint, and the link of each of its outputs.

    given: values and links of the blueprint's inputs; others keep the values inside.
    """
    blueprint = subgraph(name)
    links = {link["id"]: link for link in blueprint["links"]}
    graph: Graph = {}
    for node in blueprint["nodes"]:
        options = declared(info(server, node["type"]))
        widgets = [slot["name"] for slot in node["inputs"] if "widget" in slot]
        for widget in list(widgets):
            if any(isinstance(part, dict) and part.get(CONTROL) for part in options.get(widget, ())):
                widgets.insert(widgets.index(widget) + 1, CONTROL)
        inputs = dict(zip(widgets, node["widgets_values"], strict=True))
        inputs.pop(CONTROL, None)
        for slot in node["inputs"]:
            link = links.get(slot["link"])
            if link is None:
                continue
            if link["origin_id"] != INSIDE:
                inputs[slot["name"]] = [f"inside{link['origin_id']}", link["origin_slot"]]
            elif (outer := blueprint["inputs"][link["origin_slot"]]["name"]) in given:
                inputs[slot["name"]] = given[outer]
        graph[f"inside{node['id']}"] = {"class_type": node["type"], "inputs": inputs}
    ends = [link for link in blueprint["links"] if link["target_id"] == OUTSIDE]
    outputs = {
        blueprint["outputs"][link["target_slot"]]["name"]: [
            f"inside{link['origin_id']}",
            link["origin_slot"],
        ]
        for link in ends
    }
    assert given.keys() <= {each["name"] for each in blueprint["inputs"]}
    return graph, outputs


def replaced(graph: Graph, old: str, new: str, **renamed: str) -> None:
    """Replace a node by another one; renamed: its inputs that are kept, new name=old name."""
    for number in all_of(graph, old):
        inputs = graph[number]["inputs"]
        graph[number] = {
            "class_type": new,
            "inputs": {name: inputs[given] for name, given in renamed.items() if given in inputs},
        }


def answering(graph: Graph) -> None:
    """Use a stand-in for the language model, which needs no CLIP."""
    replaced(graph, "TextGenerate", "IFAdapterTestAnswers", prompt="prompt", image="image")
    for number in all_of(graph, "CLIPLoader"):
        del graph[number]


def text_of(entry: dict[str, Any], name: str) -> str:
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    (text,) = entry["outputs"][name]["text"]
    return text


def shown(output: list[Any]) -> dict[str, Any]:
    return {"class_type": "PreviewAny", "inputs": {"source": output}}


@pytest.fixture
def picture(server: Server) -> dict[str, Any]:
    Image.new("RGB", (SIDE_PX, SIDE_PX), "red").save(server.base / "input" / "red.png")
    return {"class_type": "LoadImage", "inputs": {"image": "red.png"}}


@pytest.fixture
def layout() -> dict[str, Any]:
    inputs = {"layout": json.dumps([BOX]), "width": SIDE_PX, "height": SIDE_PX}
    return {"class_type": "IFAdapterLayout", "inputs": inputs}


def test_the_server_offers_all_blueprints(server: Server) -> None:
    listed = {
        each["name"]: number
        for number, each in server.get("/global_subgraphs").items()
        if each["source"] == "custom_node"
    }
    assert sorted(listed) == NAMES
    for name, number in listed.items():
        given = server.get(f"/global_subgraphs/{number}")["data"]
        assert given == Path(FOLDER / f"{name}.json").read_text("ascii")


@pytest.mark.parametrize("name", NAMES)
def test_the_nodes_are_local_and_have_these_slots(server: Server, name: str) -> None:
    for node in subgraph(name)["nodes"]:
        known = info(server, node["type"])
        assert not known.get("api_node")
        assert [slot["name"] for slot in node["outputs"]] == known["output_name"]
        inputs = declared(known)
        for slot in node["inputs"]:
            assert slot["name"].split(".")[0] in inputs, slot["name"]


def test_prompt_to_layout_runs(server: Server) -> None:
    graph, outputs = expanded(server, "Prompt to layout", request="a cat", width=SIDE_PX, height=SIDE_PX)
    answering(graph)
    sides = {"width": SIDE_PX, "height": SIDE_PX}
    graph["layout"] = {
        "class_type": "IFAdapterLayout",
        "inputs": {"layout": "", "layout_text": outputs["layout_text"], **sides},
    }
    graph["words"] = shown(["layout", 2])
    assert text_of(server.run(graph), "words") == "a cat at home, a ginger cat"


def test_picture_to_layout_runs(server: Server, picture: dict[str, Any]) -> None:
    """SAM 3 and Qwen3-VL of the host with random weights, then a stand-in for Qwen3-VL."""
    given = {"image": ["image", 0], "text": "apple:2", "threshold": 0.0}
    graph, outputs = expanded(server, "Picture to layout", **given)
    replaced(graph, "CheckpointLoaderSimple", "IFAdapterTestSegmenter")
    replaced(graph, "CLIPLoader", "IFAdapterTestLanguageModels")
    for number in all_of(graph, "TextGenerate"):
        graph[number]["inputs"]["max_length"] = 4
    graph |= {"image": picture, "words": shown(outputs["layout_text"])}
    assert len(json.loads(text_of(server.run(graph), "words"))["boxes"]) == 2
    answering(graph)
    data = json.loads(text_of(server.run(graph), "words"))
    assert [box["caption"] for box in data["boxes"]] == ["a red thing"] * 2
    assert (data["caption"], data["width"]) == ("a red thing", SIDE_PX)


def test_detail_each_box_changes_the_box_alone(server: Server, picture: dict, layout: dict) -> None:
    models = {"model": ["models", 0], "clip": ["models", 1], "vae": ["models", 2]}
    given = {"image": ["image", 0], "layout": ["layout", 0], "ifadapter": ["adapter", 0]}
    graph, outputs = expanded(
        server, "Detail each box", **models, **given, size=SIDE_PX, steps=2, denoise=1.0, feather=0
    )
    graph |= {
        "image": picture,
        "layout": layout,
        "models": {"class_type": "IFAdapterTestModels", "inputs": {}},
        "adapter": {"class_type": "IFAdapterLoader", "inputs": {"adapter_name": ADAPTER}},
    }
    (output,) = outputs.values()
    graph["save"] = {"class_type": "SaveImage", "inputs": {"images": output, "filename_prefix": "detail"}}
    (image,) = server.run(graph)["outputs"]["save"]["images"]
    pixels = np.asarray(Image.open(server.base / "output" / image["filename"]).convert("RGB"))
    assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
    changed = (pixels != (255, 0, 0)).any(-1)
    quarter = SIDE_PX // 4
    assert changed[quarter:-quarter, quarter:-quarter].mean() > 0.5
    near = quarter - 2  # the mask's edge is resampled
    changed[near:-near, near:-near] = False
    assert not changed.any()


def test_check_each_box_has_all_outputs_of_the_check(server: Server) -> None:
    names = [output["name"] for output in subgraph("Check each box")["outputs"]]
    assert names == info(server, "IFAdapterCheck")["output_name"]


def test_check_each_box_runs(server: Server, picture: dict, layout: dict) -> None:
    given = {"image": ["image", 0], "layout": ["layout", 0], "threshold": 0.0}
    graph, outputs = expanded(server, "Check each box", **given)
    replaced(graph, "CheckpointLoaderSimple", "IFAdapterTestSegmenter")
    answering(graph)
    graph |= {"image": picture, "layout": layout, "words": shown(outputs["report"])}
    change(graph, "IFAdapterCheck", iou=0.05)  # the random boxes overlap the layout's, and the answer is yes
    assert "1 of 1 right" in text_of(server.run(graph), "words")
    change(graph, "IFAdapterCheck", iou=1.0)
    assert "0 of 1 right" in text_of(server.run(graph), "words")
