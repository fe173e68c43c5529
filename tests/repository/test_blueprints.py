"""The committed blueprints are valid subgraphs, which ComfyUI lists by their file names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted((ROOT / "subgraphs").iterdir())
INSIDE, OUTSIDE = -10, -20  # ids of the nodes that stand for the subgraph's inputs and outputs
PACK = "ifadapter"  # the registry's name of the pack


def read(path: Path) -> dict[str, Any]:
    """The only subgraph of a blueprint, with the node that stands for it under "instance"."""
    blueprint = json.loads(path.read_text("ascii"))  # ComfyUI 0.14 reads it with the system's encoding
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    (subgraph["instance"],) = blueprint["nodes"]
    return subgraph


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def blueprint(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_the_four_blueprints_are_there() -> None:
    assert [path.name for path in PATHS] == [
        "Check each box.json",
        "Detail each box.json",
        "Picture to layout.json",
        "Prompt to layout.json",
    ]
    assert len({read(path)["id"] for path in PATHS}) == len(PATHS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_name_is_that_of_the_file(path: Path) -> None:
    blueprint = read(path)
    assert blueprint["name"] == blueprint["instance"]["title"] == path.stem
    assert blueprint["instance"]["type"] == blueprint["id"]
    assert blueprint["description"].endswith(".")
    assert blueprint["category"] == "IFAdapter"


def test_every_link_connects_slots_of_one_type(blueprint: dict[str, Any]) -> None:
    nodes = {node["id"]: node for node in blueprint["nodes"]}
    assert len(nodes) == len(blueprint["nodes"])
    for link in blueprint["links"]:
        origin = blueprint["inputs"] if link["origin_id"] == INSIDE else nodes[link["origin_id"]]["outputs"]
        target = blueprint["outputs"] if link["target_id"] == OUTSIDE else nodes[link["target_id"]]["inputs"]
        source, sink = origin[link["origin_slot"]], target[link["target_slot"]]
        assert source["type"] == link["type"]
        assert link["type"] in sink["type"].split(",")
        ends = source.get("linkIds", source.get("links")), sink.get("linkIds", [sink.get("link")])
        assert all(link["id"] in end for end in ends)


def test_no_slot_names_a_link_that_is_missing(blueprint: dict[str, Any]) -> None:
    named = [slot["link"] for node in blueprint["nodes"] for slot in node["inputs"]]
    named += [number for slot in blueprint["outputs"] for number in slot["linkIds"]]
    links = [link["id"] for link in blueprint["links"]]
    assert sorted(number for number in named if number is not None) == sorted(links)
    assert len(set(links)) == len(links)
    assert blueprint["state"]["lastLinkId"] == max(links)
    assert blueprint["state"]["lastNodeId"] == max(node["id"] for node in blueprint["nodes"])


def test_the_instance_shows_the_subgraphs_inputs_and_outputs(blueprint: dict[str, Any]) -> None:
    instance = blueprint["instance"]
    for side in ("inputs", "outputs"):
        assert [(slot["name"], slot["type"]) for slot in instance[side]] == [
            (slot["name"], slot["type"]) for slot in blueprint[side]
        ]
    widgets = [slot["name"] for slot in instance["inputs"] if "widget" in slot]
    assert len(instance["properties"]["proxyWidgets"]) == len(widgets)
    inside = {
        (str(node["id"]), slot["name"])
        for node in blueprint["nodes"]
        for slot in node["inputs"]
        if "widget" in slot
    }
    assert {tuple(pair) for pair in instance["properties"]["proxyWidgets"]} <= inside


def test_nodes_name_their_pack_and_models_their_source(blueprint: dict[str, Any]) -> None:
    for node in blueprint["nodes"]:
        properties = node["properties"]
        assert properties["cnr_id"] == (PACK if node["type"].startswith("IFAdapter") else "comfy-core")
        assert properties["Node name for S&R"] == node["type"]
        if node["type"].endswith(("Loader", "LoaderSimple")):
            (model,) = properties["models"]
            assert model["name"] in node["widgets_values"]
            assert model["url"].endswith(f"/{model['name']}")
            assert model["url"].startswith("https://huggingface.co/")


def test_the_question_about_the_whole_picture_is_the_evaluations() -> None:
    question = (ROOT / "evaluation" / "build" / "prompts" / "caption.txt").read_text("utf-8").strip()
    picture = read(ROOT / "subgraphs" / "Picture to layout.json")
    assert [node["id"] for node in picture["nodes"] if question in node["widgets_values"]] != []
