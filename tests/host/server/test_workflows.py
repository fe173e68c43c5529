"""The committed workflows that make, convert and check layouts, run whole with small models."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server_process import Server
from workflow_graphs import Graph, all_of, change, committed, only, workflow

CROP_PX = 64
PICTURE = "example.png"  # the host's own input picture


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def runnable(server: Server, name: str) -> Graph:
    """The workflow with small models and small crops; skips where the host lacks one of its nodes."""
    needed = {node["class_type"] for node in committed(name).values()}
    missing = {
        kind for kind in needed if not kind.startswith("IPAdapter") and kind not in server.get("/object_info")
    }
    if missing:
        pytest.skip(f"this host has no {', '.join(sorted(missing))}")
    graph = workflow(name)
    for node in all_of(graph, "IFAdapterCrops"):
        graph[node]["inputs"]["size"] = CROP_PX
    return graph


@pytest.fixture(autouse=True)
def picture(server: Server) -> None:
    Image.new("RGB", (128, 96), "red").save(server.base / "input" / PICTURE)


def ui_of(entry: dict[str, Any], graph: Graph, class_type: str) -> dict[str, Any]:
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    shown: dict[str, Any] = entry["outputs"][only(graph, class_type)]
    return shown


def test_the_layout_of_a_language_model_is_drawn(server: Server) -> None:
    graph = runnable(server, "layout_from_a_prompt.json")
    by_hand = runnable(server, "layout_from_a_prompt.json")
    layout = by_hand[only(by_hand, "IFAdapterLayout")]["inputs"]
    del layout["layout_text"]
    layout["layout"] = json.dumps(
        {
            "caption": "a cat at home",
            "boxes": [{"x": 0.125, "y": 0.25, "w": 0.5, "h": 0.5, "caption": "a ginger cat"}],
        }
    )
    assert server.picture(graph) == server.picture(by_hand)


def test_a_picture_becomes_a_layout_with_the_words_of_a_language_model(server: Server) -> None:
    graph = runnable(server, "layout_from_a_picture.json")
    layout = only(graph, "IFAdapterLayout")
    graph["words"] = {"class_type": "PreviewAny", "inputs": {"source": [layout, 2]}}
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    assert entry["outputs"]["words"]["text"] == ["a red thing"]


def test_the_detail_pass_changes_the_boxes_and_nothing_else(server: Server) -> None:
    graph = runnable(server, "detail_each_box.json")
    before = saved(server, graph, graph[only(graph, "PreviewImage")]["inputs"]["images"])
    after = saved(server, graph)
    changed = np.abs(before - after).max(axis=2) > 2
    inside = np.zeros_like(changed)
    layout = json.loads(graph[only(graph, "IFAdapterLayout")]["inputs"]["layout"])
    height, width = changed.shape
    for box in layout["boxes"]:
        x0, y0 = box["x"] * width, box["y"] * height
        x1, y1 = x0 + box["w"] * width, y0 + box["h"] * height
        area = changed[round(y0) : round(y1), round(x0) : round(x1)]
        assert area.mean() > 0.3, box["caption"]
        margin = 0.25 * max(x1 - x0, y1 - y0)  # context and seam
        inside[
            max(0, round(y0 - margin)) : round(y1 + margin), max(0, round(x0 - margin)) : round(x1 + margin)
        ] = 1
    assert not changed[~inside].any()


def saved(server: Server, graph: Graph, images: list[Any] | None = None) -> np.ndarray:
    """The picture that a run saves; images: another link for SaveImage."""
    if images is not None:
        graph = change(json.loads(json.dumps(graph)), "SaveImage", images=images)
    (png,) = server.saved(server.finished(graph), graph)
    return pixels(png)


def test_check_marks_each_box_and_repairs_the_wrong_ones(server: Server) -> None:
    graph = runnable(server, "check_and_repair.json")
    entry = server.run(graph)
    marks = ui_of(entry, graph, "IFAdapterCheck")["ifadapter_marks"]
    assert [mark["box"] for mark in marks] == [1, 2, 3]
    assert {mark["mark"] for mark in marks} <= {"right", "wrong", "missing"}
    repaired = saved(server, graph)
    best = graph[only(graph, "IFAdapterPaste")]["inputs"]["image"]
    assert not np.array_equal(repaired, saved(server, graph, best))
    change(graph, "ComfySwitchNode", switch=True)
    assert np.array_equal(saved(server, graph), saved(server, graph, best))


def test_elements_for_ideogram(server: Server) -> None:
    graph = runnable(server, "layouts_for_ideogram.json")
    (text,) = ui_of(server.run(graph), graph, "PreviewAny")["text"]
    prompt = json.loads(text)
    given = json.loads(graph[only(graph, "IFAdapterLayout")]["inputs"]["layout"])["boxes"]
    elements = prompt["compositional_deconstruction"]["elements"]
    assert [element["desc"] for element in elements] == [box["caption"] for box in given]
    for element, box in zip(elements, given, strict=True):
        expected = [box["y"], box["x"], box["y"] + box["h"], box["x"] + box["w"]]
        assert element["bbox"] == pytest.approx([1000 * value for value in expected], abs=1)


def test_each_reference_picture_gets_the_mask_of_its_box(server: Server) -> None:
    """The stand-ins refuse a mask that is empty, or that covers everything."""
    server.picture(runnable(server, "regional_ip_adapter.json"))


def test_regional_prompts_change_the_picture(server: Server) -> None:
    graph = runnable(server, "regional_prompts_for_any_model.json")
    regional = server.picture(graph)
    caption = graph[only(graph, "IFAdapterRegionalConditioning")]["inputs"]["conditioning"]
    change(graph, "KSampler", positive=caption)
    assert not np.array_equal(pixels(regional), pixels(server.picture(graph)))


def test_a_tile_is_redrawn_in_its_place(server: Server) -> None:
    graph = runnable(server, "redraw_a_tile.json")
    change(graph, "ImageCrop", width=128, height=128, x=64, y=88)
    change(
        graph, "IFAdapterLayoutCrop", width=128, height=128, x=64, y=88, picture_width=512, picture_height=512
    )
    before = saved(server, graph, graph[only(graph, "IFAdapterPaste")]["inputs"]["image"])
    after = saved(server, graph)
    changed = np.abs(before - after).max(axis=2) > 2
    assert changed[88:216, 64:192].mean() > 0.3
    changed[88:216, 64:192] = False
    assert not changed.any()
