"""Layouts of API users and linked boxes of ComfyUI's own nodes, on a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ifadapter_core.links.texts import text_hash
from server_process import Server, messages

BOX = {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.5, "caption": 'a cook\'s "red" pot'}
LAYOUT = {"caption": None, "boxes": [BOX, {**BOX, "locked": True, "hidden": False}]}
SIDE_PX = 256


def graph_of(layout: Any, **inputs: Any) -> dict[str, dict[str, Any]]:
    """A layout node, and the output that makes it run."""
    given = {"layout": layout, "width": SIDE_PX, "height": SIDE_PX, **inputs}
    return {
        "layout": {"class_type": "IFAdapterLayout", "inputs": given},
        "picture": {"class_type": "PreviewImage", "inputs": {"images": ["layout", 1]}},
    }


def notices_of(entry: dict[str, Any]) -> list[str]:
    assert entry["status"]["status_str"] == "success", entry["status"]
    return entry["outputs"].get("layout", {}).get("ifadapter_notices", [])


def error_of(entry: dict[str, Any]) -> str:
    (error,) = messages(entry, "execution_error")
    assert error["exception_type"].endswith("LayoutError"), error
    return error["exception_message"]


def offers(server: Server, node_id: str) -> bool:
    return node_id in server.get(f"/object_info/{node_id}")


def test_a_layout_as_text_has_no_notice(server: Server) -> None:
    assert notices_of(server.run(graph_of(json.dumps(LAYOUT)))) == []


def test_a_layout_as_a_json_object_is_read(server: Server) -> None:
    """The host turns it into text of Python."""
    before = len(server.log)
    (notice,) = notices_of(server.run(graph_of(LAYOUT)))
    assert "replaced quotation marks, replaced literals" in notice
    assert server.log[before:].count(notice) == 1


def test_a_layout_as_a_wrapped_json_list_is_read(server: Server) -> None:
    boxes = [{"x": 0, "y": 0, "width": 128, "height": 128, "label": "a pot"}]
    assert "quotation marks" in notices_of(server.run(graph_of({"__value__": boxes})))[0]


def test_units_of_the_node(server: Server) -> None:
    boxes = json.dumps([{"bbox_2d": [64, 64, 1000, 1000], "label": "a pot"}])
    assert notices_of(server.run(graph_of(boxes, units="thousandths"))) == []
    assert "thousandths" in error_of(server.run(graph_of(boxes, units="pixels")))
    answer = server.refusal(graph_of(boxes, units="miles"))
    assert "miles" in answer["node_errors"]["layout"]["errors"][0]["details"]


def test_a_linked_text_counts_until_it_is_taken_over(server: Server) -> None:
    linked = json.dumps({"caption": "a kitchen", "boxes": [BOX]})
    drawn = json.dumps({"caption": "a garden", "boxes": [BOX], "taken_from": text_hash(linked)})

    def prompt_of(layout: str, text: str) -> str:
        words = {"class_type": "PrimitiveStringMultiline", "inputs": {"value": text}}
        shown = {"class_type": "PreviewAny", "inputs": {"source": ["layout", 5]}}
        entry = server.run({"words": words, "shown": shown, **graph_of(layout, layout_text=["words", 0])})
        assert notices_of(entry) == []
        assert entry["outputs"]["layout"]["ifadapter_text"] == [text]
        return entry["outputs"]["shown"]["text"][0]

    assert prompt_of(json.dumps(LAYOUT), linked) == "a kitchen"
    assert prompt_of(drawn, linked) == "a garden"
    assert prompt_of(drawn, linked.replace("kitchen", "hall")) == "a hall"


@pytest.mark.parametrize(
    ("text", "words"), [("", "layout_text is empty"), ("I cannot do that.", "layout_text: The layout cannot")]
)
def test_an_unusable_linked_text_is_an_error(server: Server, text: str, words: str) -> None:
    given = {"class_type": "PrimitiveStringMultiline", "inputs": {"value": text}}
    message = error_of(server.run({"words": given, **graph_of(json.dumps(LAYOUT), layout_text=["words", 0])}))
    assert words in message


def masks(count: int) -> dict[str, dict[str, Any]]:
    """A list of masks."""
    solid = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 64, "height": 64}}
    links = {f"inputs.input{number}": [f"mask{number}", 0] for number in range(count)}
    return {
        **{f"mask{number}": solid for number in range(count)},
        "list": {"class_type": "CreateList", "inputs": links},
    }


def test_a_list_of_masks_names_the_nodes_that_join_it(server: Server) -> None:
    texts = json.dumps(["a pot", "a pan"])
    as_list = {**masks(2), **graph_of(texts, masks=["list", 0])}
    message = error_of(server.run(as_list))
    assert "1 masks are linked but the layout text describes 2 instances" in message
    joined = {
        **masks(2),
        "image": {"class_type": "MaskToImage", "inputs": {"mask": ["list", 0]}},
        "batch": {"class_type": "RebatchImages", "inputs": {"images": ["image", 0], "batch_size": 2}},
        "mask": {"class_type": "ImageToMask", "inputs": {"image": ["batch", 0], "channel": "red"}},
        **graph_of(texts, masks=["mask", 0]),
    }
    for class_type in ("MaskToImage", "RebatchImages", "ImageToMask"):
        assert server.get(f"/object_info/{class_type}")[class_type]["display_name"] in message
    assert notices_of(server.run(joined)) == []


def test_a_box_of_the_hosts_box_node(server: Server) -> None:
    if not offers(server, "PrimitiveBoundingBox"):
        pytest.skip("this host has no such node")
    box = {"class_type": "PrimitiveBoundingBox", "inputs": {"x": 128, "y": 0, "width": 256, "height": 64}}
    graph = {"box": box, **graph_of('["a pot"]', boxes=["box", 0])}
    assert notices_of(server.run(graph)) == ["Linked boxes were cut at the edges of the canvas: box 1."]
    box["inputs"]["x"] = 512
    assert notices_of(server.run(graph)) == ["Linked boxes outside of the canvas were left out: box 1."]


def test_boxes_of_the_hosts_box_editor(server: Server) -> None:
    if not offers(server, "CreateBoundingBoxes"):
        pytest.skip("this host has no such node")
    sides = {"width": SIDE_PX, "height": SIDE_PX}
    drawn = {"x": 16, "y": 16, "width": 64, "height": 64, "metadata": {"type": "obj", "desc": "a pot"}}
    for boxes, output, notice in (([drawn], 1, None), ([drawn], 2, None), ([], 1, "nothing was detected")):
        editor = {
            "class_type": "CreateBoundingBoxes",
            "inputs": {**sides, "editor_state": {"__value__": boxes}},
        }
        notices = notices_of(
            server.run({"editor": editor, **graph_of('["a pot"]', boxes=["editor", output])})
        )
        assert bool(notices) == bool(notice)
        assert not notice or notice in notices[0]
