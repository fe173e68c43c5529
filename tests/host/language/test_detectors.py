"""Boxes of the host's detectors, with random weights, at the layout and the caption node."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

WIDTH, HEIGHT = 128, 96
CANVAS = {"width": WIDTH, "height": HEIGHT}


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def rt_detr_boxes(picture) -> list[list[dict[str, Any]]]:
    from comfy_extras.nodes_rtdetr import RTDETR_detect

    from small_models_pack import detectors

    return RTDETR_detect.execute(detectors.rt_detr(), picture, 0.0, "all", 4).result[0]


@pytest.fixture(scope="module")
def sam3_boxes(picture) -> list[list[dict[str, Any]]]:
    from comfy_extras.nodes_sam3 import SAM3_Detect

    from small_models_pack import detectors

    model, clip = detectors.sam3()
    text = clip.encode_from_tokens_scheduled(clip.tokenize("cat:3, teapot"))
    return SAM3_Detect.execute(model, picture, text, threshold=0.0, refine_iterations=0).result[1]


def edges(box: dict[str, Any]) -> tuple[float, ...]:
    """Of a detection, as fractions, cut at the picture."""
    x, y = box["x"], box["y"]
    return tuple(
        min(max(edge, 0.0), 1.0)
        for edge in (x / WIDTH, y / HEIGHT, (x + box["width"]) / WIDTH, (y + box["height"]) / HEIGHT)
    )


def test_labels_of_rt_detr_are_descriptions_and_boxes_are_cut(node, rt_detr_boxes, caplog):
    (found,) = rt_detr_boxes
    assert min(box["y"] for box in found) < 0  # not cut by the host
    with caplog.at_level(logging.WARNING):
        layout = node("IFAdapterLayout", layout="", boxes=rt_detr_boxes, **CANVAS)[0]
    assert layout.local_descriptions == [box["label"] for box in found]
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor([edges(box) for box in found]))
    assert "cut at the edges" in caplog.text


def test_captions_of_rt_detr(node, rt_detr_boxes, picture):
    answers = [f"a thing, number {number}" for number in range(len(rt_detr_boxes[0]))]
    answers[-1] = "I'm sorry."
    layout, _ = node("IFAdapterCaptions", captions=answers, boxes=[rt_detr_boxes], image=[picture])
    assert layout.local_descriptions == [*answers[:-1], rt_detr_boxes[0][-1]["label"]]
    assert (layout.width, layout.height) == (WIDTH, HEIGHT)


def test_sam3_has_no_labels_so_the_layout_asks_for_descriptions(node, sam3_boxes, picture):
    (found,) = sam3_boxes
    assert len(found) == 4  # three cats at most and one teapot
    assert not any("label" in box for box in found)
    with pytest.raises(ValueError, match="has no local description"):
        node("IFAdapterLayout", layout="", boxes=sam3_boxes, **CANVAS)
    answers = ["a cat", "a cat with a hat", "a striped cat", "a teapot"]
    layout, _ = node("IFAdapterCaptions", captions=answers, boxes=[sam3_boxes], image=[picture])
    assert layout.local_descriptions == answers
    assert torch.allclose(torch.tensor(layout.boxes), torch.tensor([edges(box) for box in found]))
