"""The nodes for crops: lists of several pictures, notices, tiles."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

import oracle
from layouts import layout_of

BOXES = [(0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 1.0, 1.0)]
SIDE_PX = 256
LABELLED = {"x": 0, "y": 0, "width": 64, "height": 128, "label": "a cat"}
BARE = {"x": 128, "y": 64, "width": 256, "height": 64}


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    """Soft waves of different colours."""
    phases = torch.rand(count, 1, 1, 3, generator=torch.Generator().manual_seed(seed)) * 6
    wave = torch.arange(SIDE_PX) / 5
    return 0.5 + 0.2 * torch.sin(wave[:, None, None] + phases) + 0.2 * torch.cos(wave[:, None] + phases)


@pytest.fixture(scope="module")
def layout(node) -> Any:
    return layout_of(node, BOXES, SIDE_PX, SIDE_PX)[0]


def test_all_lists_have_one_entry_for_each_instance_of_each_picture(node, layout):
    lists = node("IFAdapterCrops", image=[pictures(2), pictures(1)], layout=[layout], size=[128])
    assert [len(entries) for entries in lists] == [6] * 6
    crops, descriptions, masks, questions, layouts, places = lists
    assert [(place.image, place.instance) for place in places] == [
        (image, instance) for image in range(3) for instance in range(2)
    ]
    assert descriptions == layout.local_descriptions * 3
    for crop, mask, part in zip(crops, masks, layouts, strict=True):
        assert (1, part.height, part.width) == tuple(crop.shape[:3]) == tuple(mask.shape)
        assert crop.dtype == mask.dtype == torch.float32
    assert all(text in question for text, question in zip(descriptions, questions, strict=True))
    (describe,) = set(node("IFAdapterCrops", image=[pictures(1)], layout=[layout], size=[128])[3][:1])
    (check,) = set(
        node("IFAdapterCrops", image=[pictures(1)], layout=[layout], size=[128], question=["check"])[3][:1]
    )
    assert describe != check


def test_a_layout_for_each_picture(node, layout):
    other = layout_of(node, BOXES[:1], SIDE_PX, SIDE_PX)[0]
    places = node("IFAdapterCrops", image=[pictures(2)], layout=[layout, other], size=[128])[5]
    assert [(place.image, place.instance) for place in places] == [(0, 0), (0, 1), (1, 0)]


def test_detected_boxes_are_cut_at_the_edges_with_a_notice(node, caplog):
    with caplog.at_level(logging.WARNING):
        _, descriptions, _, questions, layouts, places = node(
            "IFAdapterCrops", image=[pictures(1)], boxes=[[[LABELLED, BARE]]], size=[128], context=[0.0]
        )
    assert "IFAdapter Crops: Linked boxes were cut at the edges of the canvas: box 2." in caplog.messages
    assert descriptions == ["a cat", ""]
    assert "cat" in questions[0]
    assert questions[1]
    assert [place.window for place in places] == [(0, 0, 64, 134), (122, 64, 134, 64)]
    assert [len(part.instances) for part in layouts] == [1, 1]


def test_no_detection_in_one_of_two_pictures_is_a_notice_and_in_both_an_error(node, caplog):
    with caplog.at_level(logging.WARNING):
        places = node("IFAdapterCrops", image=[pictures(2)], boxes=[[[], [LABELLED]]], size=[128])[5]
    assert [place.image for place in places] == [1]
    assert any("Picture 1 has no crops" in message for message in caplog.messages)
    with pytest.raises(ValueError, match="cannot run the nodes behind an empty list"):
        node("IFAdapterCrops", image=[pictures(2)], boxes=[[[], []]], size=[128])


def test_a_check_needs_descriptions(node):
    with pytest.raises(ValueError, match="Instance 1 of picture 1 has no description"):
        node("IFAdapterCrops", image=[pictures(1)], boxes=[[BARE]], size=[128], question=["check"])


def test_a_list_for_a_single_value_is_an_error(node, layout):
    with pytest.raises(ValueError, match="size got a list of 2 values"):
        node("IFAdapterCrops", image=[pictures(1)], layout=[layout], size=[128, 256])


def test_unchanged_crops_give_all_pictures_again(node, layout):
    images = [pictures(2), pictures(1, seed=1)]
    crops, _, masks, _, _, places = node("IFAdapterCrops", image=images, layout=[layout], size=[256])
    changed = [1 - crop for crop in crops]
    same = node("IFAdapterPaste", image=images, crops=crops, places=places, masks=masks, feather=[8])[0]
    other = node("IFAdapterPaste", image=images, crops=changed, places=places, masks=masks, feather=[8])[0]
    assert [image.shape for image in same] == [image.shape for image in images]
    uncovered = (slice(None), slice(-40, None), slice(None, 40))  # of no box
    for image, pasted, inverted in zip(images, same, other, strict=True):
        assert oracle.max_difference(pasted, image) < 2 / 255  # resized twice
        assert torch.equal(pasted[uncovered], image[uncovered])
        assert (inverted - image).abs().mean() > 0.1
        assert torch.equal(inverted[uncovered], image[uncovered])


def test_paste_tells_of_crops_that_lose_detail(node, layout, caplog):
    image = pictures(1)
    crops, _, _, _, _, places = node("IFAdapterCrops", image=[image], layout=[layout], size=[64])
    with caplog.at_level(logging.WARNING):
        node("IFAdapterPaste", image=[image], crops=crops, places=places)
    assert (
        [message for message in caplog.messages if "IFAdapter Paste" in message]
        == [message for message in caplog.messages if "it was enlarged" in message]
        != []
    )


def test_a_tile_of_an_enlarged_picture(node, layout, caplog):
    with caplog.at_level(logging.INFO):
        tile, place = node(
            "IFAdapterLayoutCrop",
            layout=layout,
            x=0,
            y=0,
            width=128,
            height=128,
            picture_width=512,
            picture_height=512,
        )
    assert (tile.width, tile.height) == (128, 128)
    assert tile.boxes == [(0, 0, 1, 1)]
    assert place.window == (0, 0, 128, 128)
    assert (place.picture_width, place.image, place.instance) == (512, 0, None)
    assert "IFAdapter Layout Crop: outside of the tile: instance 2." in caplog.messages


def test_a_tile_outside_of_the_picture_is_an_error(node, layout):
    with pytest.raises(ValueError, match="is not inside the picture of 256 x 256"):
        node("IFAdapterLayoutCrop", layout=layout, x=200, y=0, width=128, height=128)


def test_a_picture_of_other_proportions_stretches_the_boxes_with_a_notice(node, layout, caplog):
    """As one of the two sizes alone does."""
    node("IFAdapterLayoutCrop", layout=layout, x=0, y=0, width=64, height=64, picture_width=512)
    assert "256 x 256 pixels and the picture of 512 x 256: the boxes were stretched" in caplog.text
    node("IFAdapterLayoutCrop", layout=layout, x=0, y=0, width=64, height=64, picture_height=256)
    assert caplog.text.count("stretched") == 1


def test_the_semantic_map_of_a_tile_is_that_part_of_the_whole_map(node, ifadapter, clip):
    """A tile of 4 x 3 cells of 32 pixels."""
    boxes = [(0.1, 0.05, 0.55, 0.6), (0.8, 0.0, 1.0, 0.1), (0.4, 0.3, 0.95, 0.9)]
    whole = layout_of(node, boxes, SIDE_PX, SIDE_PX)[0]
    tile, place = node("IFAdapterLayoutCrop", layout=whole, x=64, y=96, width=128, height=96)
    maps = [semantic_map(node, ifadapter, clip, each) for each in (whole, tile)]
    in_picture, in_tile = maps[0].geometry(8, 8), maps[1].geometry(3, 4)
    # The same part of the whole map, as the adapter sees it under Conditioning (Set Area).
    in_window = maps[0].geometry(3, 4, place.box)
    kept = [0, 2]
    assert [in_window.coverages[index].cells for index in kept] == [
        coverage.cells for coverage in in_tile.coverages
    ]
    assert [in_window.area_gates[index] for index in kept] == pytest.approx(in_tile.area_gates)
    assert in_window.coverages[1].area == 0
    for index, coverage in zip(kept, in_tile.coverages, strict=True):
        part = torch.zeros(8, 8, dtype=torch.bool)
        part[in_picture.coverages[index].cells.rows, in_picture.coverages[index].cells.columns] = True
        cells = torch.zeros(3, 4, dtype=torch.bool)
        cells[coverage.cells.rows, coverage.cells.columns] = True
        assert torch.equal(cells, part[3:6, 2:6])


def semantic_map(node: Any, ifadapter: Any, clip: Any, layout: Any) -> Any:
    tokens = node(
        "IFAdapterEncode",
        ifadapter=ifadapter,
        clip=clip,
        layout=layout,
        use_appearance_tokens=True,
        use_eot_token=True,
    )[0]
    return node("IFAdapterSemanticMap", tokens=tokens)[0]
