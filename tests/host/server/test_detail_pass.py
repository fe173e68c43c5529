"""A detail pass on the server: Crops, the host's nodes mapped over the crops, Paste."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server_process import ADAPTER, Server, messages
from shapes.drawing import draw
from shapes.recognition.verifier import verify
from shapes.scene import Attributes, Figure, Scene
from workflow_graphs import Graph

SIDE_PX = 128
ASKED = (
    Figure(Attributes("square", "blue"), (6, 6, 62, 60), "a plain blue square"),
    Figure(
        Attributes("circle", "yellow", "bordered", "red"),
        (78, 70, 114, 106),
        "a yellow circle with a red border",
    ),
)
DRAWN = (ASKED[0], Figure(Attributes("circle", "yellow"), (80, 72, 112, 104)))


def demo_graph(server: Server, **settings: Any) -> Graph:
    """A detail pass of the second figure of a drawing, which lacks its border."""
    save(server, "drawing.png", draw(Scene(SIDE_PX, "beige", DRAWN)))
    boxes = [
        {
            "x": x0 / SIDE_PX,
            "y": y0 / SIDE_PX,
            "w": (x1 - x0) / SIDE_PX,
            "h": (y1 - y0) / SIDE_PX,
            "caption": words,
        }
        for (x0, y0, x1, y1), words in ((figure.box_px, figure.local_description) for figure in ASKED)
    ]
    return {
        "models": {"class_type": "IFAdapterDemoModels", "inputs": {}},
        **detail_pass(
            boxes,
            {"model": ["models", 0], "clip": ["models", 1], "vae": ["models", 2], "ifadapter": ["models", 3]},
            SIDE_PX,
            SIDE_PX,
            **settings,
        ),
    }


def small_graph(server: Server, count: int = 1, **settings: Any) -> Graph:
    """A detail pass of two instances in ``count`` pictures with small models of SDXL's structure."""
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        save(server, f"picture{number}.png", np.asarray(Image.fromarray(coarse).resize((256, 256))))
    boxes = [
        {"x": 0.0, "y": 0.0, "w": 0.25, "h": 0.25, "caption": "a red chair"},
        {"x": 0.5, "y": 0.5, "w": 0.25, "h": 0.375, "caption": "a blue lamp"},
    ]
    links = {"model": ["models", 0], "clip": ["models", 1], "vae": ["models", 2], "ifadapter": ["adapter", 0]}
    graph = {
        "models": {"class_type": "IFAdapterTestModels", "inputs": {}},
        "adapter": {"class_type": "IFAdapterLoader", "inputs": {"adapter_name": ADAPTER}},
        **detail_pass(boxes, links, 256, 128, file="picture0.png", **{"steps": 3, **settings}),
    }
    if count == 2:
        graph["second"] = {"class_type": "LoadImage", "inputs": {"image": "picture1.png"}}
        inputs = {"image1": ["picture", 0], "image2": ["second", 0]}
        graph["batch"] = {"class_type": "ImageBatch", "inputs": inputs}
        graph["crops"]["inputs"]["image"] = graph["pasted"]["inputs"]["image"] = ["batch", 0]
    return graph


def detail_pass(
    boxes: list[dict[str, Any]],
    links: dict[str, list],
    canvas_px: int,
    size: int,
    *,
    steps: int = 20,
    denoise: float = 0.6,
    strength: float = 1.0,
    file: str = "drawing.png",
) -> Graph:
    """links: model, clip, vae and ifadapter."""
    layout = {"layout": json.dumps({"boxes": boxes}), "width": canvas_px, "height": canvas_px}
    encode = {"ifadapter": links["ifadapter"], "clip": links["clip"], "layout": ["crops", 4]}
    sample = {"model": ["adapted", 0], "positive": ["positive", 0], "negative": ["negative", 0]}
    sample |= {"latent_image": ["latents", 0], "seed": 1, "steps": steps, "cfg": 4.0, "denoise": denoise}
    nodes = {
        "layout": ("IFAdapterLayout", layout),
        "picture": ("LoadImage", {"image": file}),
        "crops": ("IFAdapterCrops", {"image": ["picture", 0], "layout": ["layout", 0], "size": size}),
        "latents": ("VAEEncode", {"pixels": ["crops", 0], "vae": links["vae"]}),
        "tokens": ("IFAdapterEncode", {**encode, "use_appearance_tokens": True, "use_eot_token": True}),
        "map": ("IFAdapterSemanticMap", {"tokens": ["tokens", 0]}),
        "adapted": (
            "IFAdapterApply",
            {
                "model": links["model"],
                "ifadapter": links["ifadapter"],
                "semantic_map": ["map", 0],
                "strength": strength,
                "start_percent": 0.0,
                "end_percent": 1.0,
            },
        ),
        "positive": ("CLIPTextEncode", {"text": ["crops", 1], "clip": links["clip"]}),
        "negative": ("CLIPTextEncode", {"text": "", "clip": links["clip"]}),
        "sampler": ("KSampler", {**sample, "sampler_name": "euler", "scheduler": "simple"}),
        "decoded": ("VAEDecode", {"samples": ["sampler", 0], "vae": links["vae"]}),
        "pasted": (
            "IFAdapterPaste",
            {
                "image": ["picture", 0],
                "crops": ["decoded", 0],
                "places": ["crops", 5],
                "masks": ["crops", 2],
                "feather": 4,
            },
        ),
        "saved": ("SaveImage", {"images": ["pasted", 0], "filename_prefix": "detail"}),
        "crop files": ("SaveImage", {"images": ["crops", 0], "filename_prefix": "crop"}),
    }
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def save(server: Server, name: str, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(server.base / "input" / name)


def saved(server: Server, entry: dict[str, Any], node: str) -> list[np.ndarray]:
    """The pictures that a node saved in a successful run."""
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    files = [
        server.base / "output" / each["subfolder"] / each["filename"]
        for each in entry["outputs"][node]["images"]
    ]
    return [np.asarray(Image.open(io.BytesIO(file.read_bytes()))) for file in files]


def test_a_detail_pass_corrects_a_small_figure_and_leaves_the_rest(server: Server) -> None:
    graph = demo_graph(server)
    (picture,) = saved(server, server.run(graph), "saved")
    before = draw(Scene(SIDE_PX, "beige", DRAWN))
    assert [verdict.success for verdict in verify(before, ASKED)] == [True, False]
    assert [verdict.success for verdict in verify(picture, ASKED)] == [True, True]
    outside = np.ones((SIDE_PX, SIDE_PX), bool)
    for x0, y0, x1, y1 in (figure.box_px for figure in ASKED):
        outside[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4] = False  # of the boxes and their soft edges
    assert np.array_equal(picture[outside], before[outside])


def test_the_crops_are_sampled_one_by_one_with_their_own_layouts(server: Server) -> None:
    graph = small_graph(server)
    entry = server.run(graph)
    (with_adapter,) = saved(server, entry, "saved")
    crops = saved(server, entry, "crop files")
    assert [crop.shape for crop in crops] == [(128, 128, 3), (152, 112, 3)]
    (without,) = saved(server, server.run(small_graph(server, strength=0.0)), "saved")
    assert with_adapter.shape == (256, 256, 3)
    difference = np.abs(with_adapter.astype(int) - without).max(axis=2)
    assert difference[:64, :64].mean() > 0.2
    assert difference[128:224, 128:192].mean() > 0.2
    assert not difference[:, 80:110].any()
    whole_layout = small_graph(server)
    whole_layout["tokens"]["inputs"]["layout"] = ["layout", 0]
    (wrong,) = saved(server, server.run(whole_layout), "saved")
    assert np.abs(with_adapter.astype(int) - wrong).max() > 1


def test_a_batch_gets_its_crops_back_in_order(server: Server) -> None:
    pictures = saved(server, server.run(small_graph(server, count=2, denoise=0.01)), "saved")
    crops = saved(server, server.run(small_graph(server, count=2, denoise=0.02)), "crop files")
    assert [crop.shape[:2] for crop in crops] == [(128, 128), (152, 112)] * 2
    for number, picture in enumerate(pictures):
        given = np.asarray(Image.open(server.base / "input" / f"picture{number}.png"))
        assert np.array_equal(picture[:, 80:110], given[:, 80:110])
        assert not np.array_equal(picture[:64, :64], given[:64, :64])  # the small autoencoder is not exact


def test_canceling_in_a_crop_stops_the_run(server: Server) -> None:
    entry = server.run(small_graph(server, steps=2000), interrupt_at=2)
    assert messages(entry, "execution_interrupted")
    assert "saved" not in entry["outputs"]


def test_no_instances_are_an_error_of_this_node(server: Server) -> None:
    graph = small_graph(server)
    graph["layout"]["inputs"]["layout"] = '{"boxes": []}'
    (error,) = messages(server.run(graph), "execution_error")
    assert error["node_id"] == "crops"
    assert "ComfyUI cannot run the nodes behind an empty list" in error["exception_message"]


@pytest.mark.parametrize("x", [64, 400])
def test_a_box_of_the_hosts_box_node(server: Server, x: int) -> None:
    if "PrimitiveBoundingBox" not in server.get("/object_info/PrimitiveBoundingBox"):
        pytest.skip("this host has no such node")
    graph = small_graph(server)
    box = {"x": x, "y": 0, "width": 300, "height": 64}
    graph["box"] = {"class_type": "PrimitiveBoundingBox", "inputs": box}
    del graph["crops"]["inputs"]["layout"]
    graph["crops"]["inputs"]["boxes"] = ["box", 0]
    for name in list(graph):
        if name not in ("box", "picture", "crops", "crop files"):
            del graph[name]
    before = len(server.log)
    entry = server.run(graph)
    if x == 400:
        (error,) = messages(entry, "execution_error")
        assert "nothing to cut out" in error["exception_message"]
    else:
        (crop,) = saved(server, entry, "crop files")
        assert crop.shape == (88, 184, 3)
        assert "Linked boxes were cut at the edges of the canvas: box 1" in server.log[before:]
