"""The pictures of the layout and semantic map nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import oracle
from layouts import layout_of


def assert_is_an_image(picture: Tensor, height: int, width: int) -> None:
    assert picture.shape == (1, height, width, 3)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1


def test_layout_picture_shows_the_boxes(node):
    boxes = [(0.1, 0.2, 0.45, 0.8), (0.55, 0.2, 0.9, 0.8)]
    picture = layout_of(node, boxes, 640, 400)[1]
    assert_is_an_image(picture, 400, 640)
    outside = picture[0, 20, 320]
    colours = []
    for x0, y0, x1, y1 in boxes:
        edge = picture[0, int(y0 * 400), int(x1 * 640) - 20]
        inside = picture[0, int(y1 * 400) - 20, int(x1 * 640) - 20]
        full, tint = edge - outside, inside - outside
        assert full.abs().max() > 0.2
        assert torch.cosine_similarity(full, tint, dim=0) > 0.99
        assert 0.05 < (tint.norm() / full.norm()).item() < 0.95  # translucent
        assert torch.equal(picture[0, int(y1 * 400) + 5, int(x0 * 640)], outside)
        colours.append(edge)
    assert (colours[0] - colours[1]).abs().max() > 0.2


def test_pictures_of_large_canvases_are_smaller(node):
    assert layout_of(node, oracle.ONE, 4096, 2048)[1].shape == (1, 512, 1024, 3)


@pytest.mark.parametrize(("width", "height"), [(64, 16384), (16384, 64), (64, 64), (16384, 16384)])
@pytest.mark.parametrize(
    "words",
    ["word " * 400, "x" * 3000, "\u65e5\u672c\u8a9e \U0001f600"],
    ids=["long text", "long word", "unicode"],
)
def test_pictures_of_extremes(node, make_tokens, width, height, words):
    pixel = 1.01 / min(width, height)  # the smallest side that is read
    layout, picture, *_ = layout_of(
        node, [(0.0, 0.0, pixel, 1.0), (1 - pixel, 1 - pixel, 1.0, 1.0), *oracle.TEN], width, height, words
    )
    tokens = replace(make_tokens(layout.boxes), canvas=(width, height))
    map_picture = node("IFAdapterSemanticMap", tokens=tokens)[1]
    for shown, smallest in ((picture, 512), (map_picture, 1)):
        scale = min(max(width, height, smallest), 1024) / max(width, height)
        assert_is_an_image(shown, *(max(1, round(side * scale)) for side in (height, width)))


def test_pictures_of_a_hundred_instances(node, make_tokens):
    boxes = [
        (0.1 * (i % 10), 0.1 * (i // 10), 0.1 * (i % 10) + 0.1, 0.1 * (i // 10) + 0.1) for i in range(100)
    ]
    layout, picture, *_ = layout_of(node, boxes, 512, 512)
    assert len(layout.instances) == 100
    assert_is_an_image(picture, 512, 512)
    assert_is_an_image(node("IFAdapterSemanticMap", tokens=make_tokens(boxes[:20]))[1], 1024, 1024)


def owners(
    node: Any, make_tokens: Any, boxes: oracle.Boxes, size: tuple[int, int], **inputs: Any
) -> list[list[int]]:
    """Instance index, or -1 for the background, in each 32-pixel cell of the semantic map's picture."""
    width, height = size

    def colours(shown: oracle.Boxes, **more: Any) -> Tensor:
        picture = node("IFAdapterSemanticMap", tokens=replace(make_tokens(shown), canvas=size), **more)[1]
        assert picture.shape == (1, height, width, 3)
        return picture[0, 26::32, 24::32]  # away from outlines and from the numbers in the corners

    key = colours(
        [(i / len(boxes), 0.0, (i + 1) / len(boxes), 0.5) for i in range(len(boxes))]
    )  # beside each other, ground below
    known = [key[0, int((i + 0.5) / len(boxes) * key.shape[1])] for i in range(len(boxes))] + [key[-1, 0]]
    assert len({tuple(colour.tolist()) for colour in known}) == len(known)
    numbers = [*range(len(boxes)), -1]
    cells = colours(boxes, **inputs)
    return [
        [
            next(n for n, colour in zip(numbers, known, strict=True) if torch.equal(cell, colour))
            for cell in row
        ]
        for row in cells
    ]


LARGE, SMALL = (
    (0.0, 0.0, 0.75, 1.0),
    (0.25, 0.25, 1.0, 0.5),
)  # of 8 x 4 cells: 24 cells and 6, 4 of them in both


@pytest.mark.parametrize("order", ["learned gate", "layout order"])
@pytest.mark.parametrize(
    "boxes", [[LARGE, SMALL], [SMALL, LARGE]], ids=["small one in front", "large one in front"]
)
def test_map_picture_shows_who_owns_each_cell(node, make_tokens, boxes, order):
    """The learned gate prefers the smaller box; the layout order prefers the later one."""
    large, small = boxes.index(LARGE), boxes.index(SMALL)
    both = small if order == "learned gate" else 1
    expected = [
        [large] * 6 + [-1] * 2,
        [large] * 2 + [both] * 4 + [small] * 2,
        [large] * 6 + [-1] * 2,
        [large] * 6 + [-1] * 2,
    ]
    assert owners(node, make_tokens, boxes, (256, 128), depth_order=order) == expected


def test_map_picture_shows_masks(node, make_tokens):
    masks = torch.ones(1, 128, 256)
    masks[0, :, :96] = 0
    assert owners(node, make_tokens, [LARGE], (256, 128), masks=masks) == [[-1] * 3 + [0] * 3 + [-1] * 2] * 4
