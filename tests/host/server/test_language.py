"""Layouts from a sentence and from a picture, on a real server: prompts, crops, captions, layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from server_process import Server, messages
from workflow_graphs import Graph

SIDE_PX = 128
BOXES = [
    {"x": 0.0, "y": 0.0, "w": 0.5, "h": 1.0, "caption": "apple"},
    {"x": 0.5, "y": 0.0, "w": 0.5, "h": 1.0, "caption": "plum"},
]
FAMILIES = ["any model", "Qwen3, Qwen3-VL, Qwen3.5", "Gemma 3, Gemma 4", "Gemma 2 of Lumina"]
GENERATE = {"max_length": 6, "sampling_mode": "off"}
SIZE = {"width": SIDE_PX, "height": SIDE_PX}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def shown_layout(text: list[Any], **inputs: Any) -> Graph:
    """The layout node with a linked text, and nodes that show its result."""
    return {
        "layout": node("IFAdapterLayout", layout="", layout_text=text, **SIZE, **inputs),
        "picture": node("PreviewImage", images=["layout", 1]),
        "prompt_text": node("PreviewAny", source=["layout", 2]),
    }


def text_of(entry: dict[str, Any], name: str) -> str:
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    (text,) = entry["outputs"][name]["text"]
    return text


def needs_text_generation(server: Server) -> None:
    if "TextGenerate" not in server.get("/object_info/TextGenerate"):
        pytest.skip("this host has no such node")


def prompt_node(model: str, request: str) -> dict[str, Any]:
    return node(
        "IFAdapterLayoutPrompt",
        request=request,
        instances=1,
        descriptions="short",
        model=model,
        **SIZE,
    )


@pytest.fixture
def picture(server: Server) -> dict[str, Any]:
    """Loads a picture that is red on the left and blue on the right."""
    pixels = Image.new("RGB", (SIDE_PX, SIDE_PX), "red")
    pixels.paste("blue", (SIDE_PX // 2, 0, SIDE_PX, SIDE_PX))
    pixels.save(server.base / "input" / "red_and_blue.png")
    return node("LoadImage", image="red_and_blue.png")


@pytest.mark.parametrize("model", FAMILIES)
def test_a_sentence_becomes_a_layout(server: Server, model: str) -> None:
    graph = {
        "prompt": prompt_node(model, "a cat"),
        "model": node("IFAdapterTestAnswers", prompt=["prompt", 0]),
        **shown_layout(["model", 0]),
    }
    entry = server.run(graph)
    assert text_of(entry, "prompt_text") == "a cat at home, a ginger cat"
    (notice,) = entry["outputs"]["layout"]["ifadapter_notices"]
    assert "left out the reasoning" in notice


def test_random_text_of_the_hosts_language_model_is_an_error_of_the_layout(server: Server) -> None:
    needs_text_generation(server)
    graph = {
        "prompt": prompt_node("any model", "a cat"),
        "clip": node("IFAdapterTestLanguageModels"),
        "model": node("TextGenerate", clip=["clip", 1], prompt=["prompt", 0], **GENERATE),
        **shown_layout(["model", 0]),
    }
    (error,) = messages(server.run(graph), "execution_error")
    assert error["node_id"] == "layout"
    assert error["exception_message"].startswith("layout_text: The layout cannot be read as JSON")


def test_each_crop_gets_its_own_caption(server: Server, picture: dict[str, Any]) -> None:
    """The answers name the colour of their crop: none is lost or in another box."""
    graph = {
        "image": picture,
        "drawn": node("IFAdapterLayout", layout=json.dumps({"caption": "fruit", "boxes": BOXES}), **SIZE),
        "crops": node("IFAdapterCrops", image=["image", 0], layout=["drawn", 0], context=0.0, size=64),
        "model": node("IFAdapterTestAnswers", prompt=["crops", 3], image=["crops", 0]),
        "captions": node("IFAdapterCaptions", captions=["model", 0], layout=["drawn", 0]),
        **shown_layout(["captions", 1], background=["image", 0]),
    }
    assert text_of(server.run(graph), "prompt_text") == "fruit, a red thing, a blue thing"


def test_a_caption_too_few_is_an_error_of_the_caption_node(server: Server, picture: dict[str, Any]) -> None:
    graph = {
        "image": picture,
        "drawn": node("IFAdapterLayout", layout=json.dumps(BOXES), **SIZE),
        "model": node("IFAdapterTestAnswers", prompt="Describe it.", image=["image", 0]),
        "captions": node("IFAdapterCaptions", captions=["model", 0], layout=["drawn", 0]),
        **shown_layout(["captions", 1]),
    }
    (error,) = messages(server.run(graph), "execution_error")
    assert error["node_id"] == "captions"
    assert error["exception_message"].startswith("1 caption for 2 boxes")


def test_a_detected_picture_becomes_a_layout(server: Server, picture: dict[str, Any]) -> None:
    """RT-DETR and a Qwen3-VL of the host with random weights; the second run captions with good answers."""
    needs_text_generation(server)
    detect = {"threshold": 0.0, "class_name": "all", "max_detections": 3}
    questions = {"prompt": ["crops", 3], "image": ["crops", 0]}
    graph = {
        "image": picture,
        "detector": node("IFAdapterTestBoxModel"),
        "boxes": node("RTDETR_detect", model=["detector", 0], image=["image", 0], **detect),
        "crops": node("IFAdapterCrops", image=["image", 0], boxes=["boxes", 0], size=64),
        "clip": node("IFAdapterTestLanguageModels"),
        "model": node("TextGenerate", clip=["clip", 0], **questions, **GENERATE),
        "captions": node("IFAdapterCaptions", captions=["model", 0], boxes=["boxes", 0], image=["image", 0]),
        **shown_layout(["captions", 1]),
    }
    random_words = text_of(server.run(graph), "prompt_text")
    assert random_words
    graph["model"] = node("IFAdapterTestAnswers", **questions)
    words = text_of(server.run(graph), "prompt_text").split(", ")
    assert len(words) == 3
    assert set(words) <= {f"a {colour} thing" for colour in ("red", "blue")}
    assert words != random_words.split(", ")
