"""A check on the server, with a detector and a reader mapped over lists, and a detail pass of what failed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from server_process import Server
from shapes.drawing import draw
from shapes.scene import Attributes, Figure, Scene
from workflow_graphs import Graph

SIDE_PX = 128
SQUARE = Figure(Attributes("square", "blue"), (6, 6, 62, 60), "a plain blue square")
CIRCLE = Figure(
    Attributes("circle", "yellow", "bordered", "red"), (78, 70, 114, 106), "a yellow circle with a red border"
)
STAR = Figure(Attributes("star", "green"), (8, 72, 56, 120), "a plain green star")
PLAIN_CIRCLE = replace(CIRCLE, attributes=Attributes("circle", "yellow"))
RED_STAR = replace(STAR, attributes=Attributes("star", "red"))
MOVED_STAR = replace(STAR, box_px=(76, 8, 124, 56))


def graph_of(server: Server, *pictures: tuple[Figure, ...]) -> Graph:
    """A check of one or two pictures of the same layout, all outputs of which are shown."""
    boxes = [
        dict(zip("xywh", (x0 / SIDE_PX, y0 / SIDE_PX, (x1 - x0) / SIDE_PX, (y1 - y0) / SIDE_PX), strict=True))
        | {"caption": figure.local_description}
        for figure in (SQUARE, CIRCLE, STAR)
        for x0, y0, x1, y1 in [figure.box_px]
    ]
    layout = {"layout": json.dumps({"boxes": boxes}), "width": SIDE_PX, "height": SIDE_PX}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layout": ("IFAdapterLayout", layout)}
    for number, figures in enumerate(pictures):
        Image.fromarray(draw(Scene(SIDE_PX, "beige", figures))).save(
            server.base / "input" / f"checked{number}.png"
        )
        nodes[f"picture{number}"] = ("LoadImage", {"image": f"checked{number}.png"})
    source = "picture0"
    if len(pictures) == 2:
        source = "batch"
        nodes["batch"] = ("ImageBatch", {"image1": ["picture0", 0], "image2": ["picture1", 0]})
    outputs = {"layout": ["layout", 0], "area": "whole box", "grow": 0, "feather": 0}
    nodes["outputs"] = ("IFAdapterLayoutOutputs", outputs)
    nodes |= check("check", [source, 0])
    nodes["marked"] = ("SaveImage", {"images": ["check", 0], "filename_prefix": "marked"})
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def check(name: str, image: list[Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The route: a detector for each description, a reader for each crop."""
    crops = {"image": image, "layout": ["layout", 0], "context": 0.0, "size": SIDE_PX, "question": "check"}
    linked = {"boxes": [f"{name} boxes", 0], "answers": [f"{name} answers", 0]}
    return {
        f"{name} boxes": ("IFAdapterTestDetector", {"image": image, "text": ["outputs", 6]}),
        f"{name} crops": ("IFAdapterCrops", crops),
        f"{name} answers": (
            "IFAdapterTestReader",
            {"image": [f"{name} crops", 0], "prompt": [f"{name} crops", 3]},
        ),
        name: ("IFAdapterCheck", {"image": image, "layout": ["layout", 0], **linked}),
    }


def with_repair(graph: Graph) -> Graph:
    """The graph with a detail pass of the failed instances, behind a switch, and another check."""
    models = {"model": ["models", 0], "clip": ["models", 1], "ifadapter": ["models", 3]}
    sample = {"positive": ["positive", 0], "negative": ["negative", 0], "latent_image": ["latents", 0]}
    sample |= {"seed": 1, "steps": 20, "cfg": 4.0, "denoise": 0.6, "sampler_name": "euler"}
    nodes = {
        "models": ("IFAdapterDemoModels", {}),
        "crops": ("IFAdapterCrops", {"image": ["check", 6], "layout": ["check", 5], "size": SIDE_PX}),
        "latents": ("VAEEncode", {"pixels": ["crops", 0], "vae": ["models", 2]}),
        "adapted": (
            "IFAdapterSimple",
            {
                **models,
                "layout": ["crops", 4],
                "strength": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
            },
        ),
        "positive": ("CLIPTextEncode", {"text": ["crops", 1], "clip": ["models", 1]}),
        "negative": ("CLIPTextEncode", {"text": "", "clip": ["models", 1]}),
        "sampler": ("KSampler", {"model": ["adapted", 0], **sample, "scheduler": "simple"}),
        "decoded": ("VAEDecode", {"samples": ["sampler", 0], "vae": ["models", 2]}),
        "pasted": (
            "IFAdapterPaste",
            {"image": ["check", 6], "crops": ["decoded", 0], "places": ["crops", 5], "feather": 4},
        ),
        "switch": (
            "ComfySwitchNode",
            {"switch": ["check", 7], "on_true": ["check", 6], "on_false": ["pasted", 0]},
        ),
        **check("again", ["switch", 0]),
        "saved": ("SaveImage", {"images": ["switch", 0], "filename_prefix": "repaired"}),
    }
    return graph | {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def run(server: Server, graph: Graph) -> dict[str, Any]:
    """The outputs of a run that succeeds."""
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    return entry["outputs"]


def marks(outputs: dict[str, Any], name: str = "check") -> list[tuple[int, str]]:
    """The image and the mark of each instance."""
    return [(each["image"], each["mark"]) for each in outputs[name]["ifadapter_marks"]]


def saved(server: Server, outputs: dict[str, Any], name: str) -> np.ndarray:
    (file,) = outputs[name]["images"]
    return np.asarray(Image.open(server.base / "output" / file["subfolder"] / file["filename"]), dtype=int)


def test_a_batch_is_checked_by_a_detector_and_a_reader(server: Server) -> None:
    graph = graph_of(server, (SQUARE, PLAIN_CIRCLE, MOVED_STAR), (SQUARE, CIRCLE, RED_STAR))
    outputs = run(server, graph)
    assert marks(outputs) == [
        *[(0, "right"), (0, "wrong"), (0, "missing")],
        *[(1, "right"), (1, "right"), (1, "wrong")],
    ]
    (report,) = outputs["check"]["text"]
    assert "Success rate: 50.0 % (3 of 6)" in report
    assert "Best image: 2 of 2" in report
    assert len(outputs["marked"]["images"]) == 2


def test_the_failed_instances_are_sampled_again_and_the_others_stay(server: Server) -> None:
    figures = (SQUARE, PLAIN_CIRCLE, STAR)
    outputs = run(server, with_repair(graph_of(server, figures)))
    assert marks(outputs) == [(0, "right"), (0, "wrong"), (0, "right")]
    assert marks(outputs, "again") == [(0, "right")] * 3
    change = np.abs(saved(server, outputs, "saved") - draw(Scene(SIDE_PX, "beige", figures))).max(-1)
    x0, y0, x1, y1 = CIRCLE.box_px
    assert change[y0:y1, x0:x1].max() > 50
    assert change[: y0 - 16].max() == change[:, : x0 - 16].max() == 0


def test_the_detail_pass_is_left_out_if_all_is_right(server: Server) -> None:
    """Crops would stop with an error: the failed layout is empty."""
    figures = (SQUARE, CIRCLE, STAR)
    outputs = run(server, with_repair(graph_of(server, figures)))
    assert marks(outputs) == marks(outputs, "again") == [(0, "right")] * 3
    assert (saved(server, outputs, "saved") == draw(Scene(SIDE_PX, "beige", figures))).all()


def test_a_check_without_answers_names_what_is_missing(server: Server) -> None:
    graph = graph_of(server, (SQUARE, CIRCLE, STAR))
    del graph["check"]["inputs"]["boxes"], graph["check"]["inputs"]["answers"]
    (error,) = [data for kind, data in server.run(graph)["status"]["messages"] if kind == "execution_error"]
    assert error["node_type"] == "IFAdapterCheck"
    assert "Neither boxes nor answers are linked" in error["exception_message"]
