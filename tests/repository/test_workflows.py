"""The committed workflows are valid graphs, equal their API twins, and name this pack as the Manager does."""

from __future__ import annotations

import ast
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ifadapter_core.layout_formats import from_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDER = ROOT / "workflows"
STEMS = sorted(path.stem for path in FOLDER.glob("*.json"))  # the host's template browser lists these files
PATHS = sorted(FOLDER.rglob("*.json"))
THUMBNAIL_BYTES = 100_000
NOTES = {"Note", "MarkdownNote"}  # frontend nodes, not part of a prompt
OTHER_PACKS = {"IPAdapter": "comfyui_ipadapter_plus"}  # ids in the registry, by how their nodes' names begin
PACKS_MODELS = {"IPAdapterUnifiedLoader"}  # loads the files that its own pack's page lists
FRONTEND_ONLY = "control_after_generate"  # a widget without an input
TITLE_PX = 30  # height of a node's title, above its position
FOOTER_PX = 72  # height of the footer that the frontend adds below a node with an error, at most

Graph = dict[str, Any]


@cache
def node_ids() -> list[str]:
    """The node ids that the Manager's static scan finds.

    Its rule: a class with ComfyNode or io.ComfyNode as a direct base, and a define_schema that calls Schema
    with a literal node_id.
    """
    return [
        ast.literal_eval(keyword.value)
        for path in sorted((ROOT / "nodes").rglob("*.py"))
        for node_class in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node_class, ast.ClassDef)
        and any(ast.unparse(base) in ("ComfyNode", "io.ComfyNode") for base in node_class.bases)
        for method in node_class.body
        if isinstance(method, ast.FunctionDef) and method.name == "define_schema"
        for call in ast.walk(method)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("Schema", "io.Schema")
        for keyword in call.keywords
        if keyword.arg == "node_id" and isinstance(keyword.value, ast.Constant)
    ]


def read(stem: str) -> Graph:
    graph: Graph = json.loads((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    return graph


def read_api(stem: str) -> Graph:
    graph: Graph = json.loads((FOLDER / "api" / f"{stem}.json").read_text(encoding="utf-8"))
    return graph


def runnable(graph: Graph) -> dict[int, Graph]:
    return {node["id"]: node for node in graph["nodes"] if node["type"] not in NOTES}


def widget_values(node: Graph) -> dict[str, Any]:
    """The stored widget values by name. The file has them as a list, in the order of the widgets."""
    if node["type"] in NOTES:
        return {"text": node["widgets_values"][0]}
    names = [slot["widget"]["name"] for slot in node.get("inputs", []) if "widget" in slot]
    if "seed" in names:
        names.insert(names.index("seed") + 1, FRONTEND_ONLY)
    return dict(zip(names, node.get("widgets_values", []), strict=True))


def as_prompt(graph: Graph) -> Graph:
    """The prompt that the frontend sends for this graph."""
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    prompt = {}
    for number, node in runnable(graph).items():
        inputs = {
            name: {"__value__": value} if isinstance(value, list) else value  # a plain list would be a link
            for name, value in widget_values(node).items()
            if name != FRONTEND_ONLY
        }
        inputs |= {
            slot["name"]: links[slot["link"]] for slot in node.get("inputs", []) if slot["link"] is not None
        }
        prompt[str(number)] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def test_every_workflow_has_an_api_twin() -> None:
    assert STEMS
    assert sorted(path.stem for path in (FOLDER / "api").iterdir()) == STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_names_are_safe_in_files_and_urls(stem: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", stem)


@pytest.mark.parametrize("stem", STEMS)
def test_every_workflow_has_a_square_thumbnail(stem: str) -> None:
    """The template browser shows <name>.jpg in a square card."""
    path = FOLDER / f"{stem}.jpg"
    with Image.open(path) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert thumbnail.width == thumbnail.height >= 256
    assert path.stat().st_size <= THUMBNAIL_BYTES


def test_every_node_is_used_in_a_workflow() -> None:
    used = {node["type"] for stem in STEMS for node in read(stem)["nodes"]}
    assert set(node_ids()) <= used


def test_manager_scan_finds_all_nodes() -> None:
    """The scan finds as many nodes as the pack registers; each id equals its class name."""
    source = ast.parse((ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8"))
    (returned,) = [
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.List)
    ]
    assert sorted(node_ids()) == sorted(ast.unparse(name) for name in returned.elts)
    assert len(set(node_ids())) == 16


@pytest.mark.parametrize("stem", STEMS)
def test_api_twin_is_the_same_graph(stem: str) -> None:
    api = read_api(stem)
    assert as_prompt(read(stem)) == {
        number: {key: node[key] for key in ("class_type", "inputs")} for number, node in api.items()
    }


@pytest.mark.parametrize("stem", STEMS)
def test_api_twin_has_the_same_titles(stem: str) -> None:
    api = read_api(stem)
    for number, node in runnable(read(stem)).items():
        title = api[str(number)]["_meta"]["title"]
        assert title == node.get("title", title)
        assert title


@pytest.mark.parametrize("stem", STEMS)
def test_links_are_consistent(stem: str) -> None:
    graph = read(stem)
    nodes = {node["id"]: node for node in graph["nodes"]}
    links = {link[0]: link[1:] for link in graph["links"]}
    assert len(links) == len(graph["links"])
    assert max(links) <= graph["last_link_id"]
    assert max(nodes) <= graph["last_node_id"]
    for number, (source, output, target, entry, kind) in links.items():
        assert number in nodes[source]["outputs"][output]["links"]
        assert nodes[source]["outputs"][output]["type"] == kind
        assert nodes[target]["inputs"][entry]["link"] == number
        assert {kind, "*"} & set(nodes[target]["inputs"][entry]["type"].split(","))
    used = [
        slot["link"] for node in nodes.values() for slot in node.get("inputs", []) if slot["link"] is not None
    ]
    given = [
        link for node in nodes.values() for slot in node.get("outputs", []) for link in slot["links"] or []
    ]
    assert sorted(used) == sorted(given) == sorted(links)


@pytest.mark.parametrize("stem", STEMS)
def test_widget_values_agree_with_the_named_ones(stem: str) -> None:
    for node in read(stem)["nodes"]:
        assert node.get("widgets_values_named", {}) == widget_values(node)


@pytest.mark.parametrize("stem", STEMS)
def test_nodes_name_their_pack_and_version(stem: str) -> None:
    for node in runnable(read(stem)).values():
        properties = node["properties"]
        if node["type"] in node_ids():
            assert (properties["cnr_id"], properties["ver"]) == (PROJECT["name"], PROJECT["version"])
        else:
            packs = [pack for prefix, pack in OTHER_PACKS.items() if node["type"].startswith(prefix)]
            assert properties["cnr_id"] == (packs[0] if packs else "comfy-core")


@pytest.mark.parametrize("stem", STEMS)
def test_notes_name_all_model_files(stem: str) -> None:
    """The note names every loaded file and its folder, and download links lead to that file.

    The demo's models ship with the pack, so its workflow needs no file.
    """
    graph = read(stem)
    (note,) = [node["widgets_values"][0] for node in graph["nodes"] if node["type"] in NOTES]
    loaders = [
        node for node in graph["nodes"] if "Loader" in node["type"] and node["type"] not in PACKS_MODELS
    ]
    for node in loaders:
        name = node["widgets_values"][0]
        assert name in note
        for model in node["properties"].get("models", []):
            assert model["name"] == name
            assert model["url"].startswith("https://huggingface.co/")
            assert "/resolve/main/" in model["url"]
            assert model["url"].endswith(f"/{name}")
            assert f"`models/{model['directory']}`" in note
    assert ("`models/ifadapter`" in note) == any(node["type"] == "IFAdapterLoader" for node in loaders)


@pytest.mark.parametrize("stem", STEMS)
def test_layouts_are_valid(stem: str) -> None:
    for node in read(stem)["nodes"]:
        if node["type"] == "IFAdapterLayout":
            values = widget_values(node)
            layout = from_json(values["layout"], values["width"], values["height"])
            if any(slot["name"] == "layout_text" and slot["link"] is not None for slot in node["inputs"]):
                assert not layout.instances  # a run makes the layout
                continue
            assert len(layout.instances) >= 3
            assert layout.caption


@pytest.mark.parametrize("stem", STEMS)
def test_nodes_do_not_overlap(stem: str) -> None:
    """Not even where a node has an error and grows a footer."""
    nodes = read(stem)["nodes"]
    frames = {
        node["id"]: (
            node["pos"][0],
            node["pos"][1] - TITLE_PX,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1] + (0 if node["type"] in NOTES else FOOTER_PX),
        )
        for node in nodes
    }
    for one, (left, top, right, bottom) in frames.items():
        for other, (left_2, top_2, right_2, bottom_2) in frames.items():
            assert one >= other or right <= left_2 or right_2 <= left or bottom <= top_2 or bottom_2 <= top, (
                one,
                other,
            )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_local_paths_or_addresses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not any(
        word in text
        for word in ("/home/", "/root/", "/tmp/", "127.0.0.1", "localhost", "Users\\\\", "IFAdapterTest")
    )
