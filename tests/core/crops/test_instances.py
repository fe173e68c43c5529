"""Crops of instances: what each one has, their order, pictures without instances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ifadapter_core.crops.cut import resize
from ifadapter_core.crops.instances import cut_instances, questions_about
from ifadapter_core.crops.sources import layouts_of_boxes, masks_of, one_each, pictures_of, source_layouts
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

SIDE = 64


def picture(seed: int = 0, height: int = SIDE, width: int = SIDE) -> Tensor:
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def layout_of(*boxes: tuple[float, float, float, float]) -> Layout:
    instances = (Instance(Box(*box), f"thing {number}") for number, box in enumerate(boxes, 1))
    return Layout(SIDE, SIDE, tuple(instances))


LEFT, RIGHT = (0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)
EMPTY = (0.5, 0.5, 0.5, 0.9)  # no area


def test_a_crop_at_its_own_size_is_the_part_of_the_picture() -> None:
    given = picture()
    ((crop,), notices) = cut_instances([given], [layout_of(LEFT)], 0, 32)
    assert notices == []
    assert torch.equal(crop.picture[0], given[:32, :32])
    assert torch.equal(crop.mask, torch.ones(1, 32, 32))
    assert crop.layout == Layout(32, 32, (Instance(Box(0, 0, 1, 1), "thing 1"),))
    assert crop.place.window == (0, 0, 32, 32)
    crop.picture[:] = 0  # a copy
    assert given.max() > 0


def test_a_crop_has_all_instances_that_reach_into_it_and_the_mask_of_its_own() -> None:
    layout = layout_of((0, 0, 0.5, 1), (0.25, 0.25, 0.5, 0.5), (0.75, 0.75, 1, 1))
    crops, _ = cut_instances([picture()], [layout], 0.5, 64)
    assert [crop.layout.local_descriptions for crop in crops][1] == ["thing 1", "thing 2"]
    second = crops[1]
    assert second.place.window == (8, 8, 32, 32)
    expected = torch.zeros(64, 64)
    expected[16:48, 16:48] = 1
    assert torch.equal(second.mask[0], expected)


def test_crops_of_a_batch_come_picture_by_picture_from_back_to_front() -> None:
    given = [picture(seed) for seed in range(3)]
    layouts = [layout_of(LEFT, RIGHT), layout_of(), layout_of(RIGHT)]
    crops, notices = cut_instances(given, layouts, 0, 32)
    assert [(crop.place.image, crop.place.instance) for crop in crops] == [(0, 0), (0, 1), (2, 0)]
    assert torch.equal(crops[2].picture[0], given[2][32:, 32:])
    assert notices == ["Picture 2 has no crops: its layout has no instances."]


def test_an_instance_without_a_pixel_is_left_out_with_a_notice() -> None:
    crops, notices = cut_instances([picture()], [layout_of(EMPTY, LEFT)], 0, 32)
    assert [crop.description for crop in crops] == ["thing 2"]
    assert crops[0].place.instance == 1
    assert notices == ["Left out of picture 1, since the box covers no pixel: instance 1."]


@pytest.mark.parametrize("layout", [layout_of(), layout_of(EMPTY)])
def test_nothing_to_cut_out_is_an_error_that_says_why(layout: Layout) -> None:
    with pytest.raises(LayoutError, match="cannot run the nodes behind an empty list") as error:
        cut_instances([picture()], [layout], 0, 32)
    assert "no instance was drawn or detected in the picture" in str(error.value)


def test_a_layout_of_other_proportions_has_a_notice() -> None:
    _, (notice,) = cut_instances([picture(width=128)], [layout_of(LEFT)], 0, 64)
    assert "64 x 64 pixels and picture 1 of 128 x 64: the boxes were stretched" in notice


def test_resizing_keeps_colours_in_range_and_flat_areas_flat() -> None:
    sharp = torch.zeros(16, 16, 3)
    sharp[:, 8:] = 1
    larger = resize(sharp, 40, 24)
    assert larger.shape == (24, 40, 3)
    assert (larger.min(), larger.max()) == (0, 1)
    assert torch.allclose(resize(torch.full((9, 5, 3), 0.3), 64, 64), torch.tensor(0.3), atol=1e-6)


def test_one_value_for_all_pictures_each_picture_or_each_batch() -> None:
    batches = [torch.zeros(2, 4, 4, 3), torch.zeros(1, 4, 4, 3)]
    assert one_each("a", batches, "layouts") == ["a", "a", "a"]
    assert one_each("ab", batches, "layouts") == ["a", "a", "b"]
    assert one_each("abc", batches, "layouts") == ["a", "b", "c"]
    with pytest.raises(LayoutError, match="3 pictures and 4 layouts are linked"):
        one_each("abcd", batches, "layouts")


BOX = {"x": 0, "y": 0, "width": 32, "height": 32, "label": "a cat"}
OTHER = {"x": 32, "y": 32, "width": 64, "height": 32}


def test_boxes_of_a_detector_have_their_labels_as_descriptions() -> None:
    (layout,), notices = layouts_of_boxes([[[BOX, OTHER]]], [torch.zeros(1, SIDE, SIDE, 3)])
    assert layout.local_descriptions == ["a cat", ""]
    assert layout.boxes == [Box(*LEFT), Box(*RIGHT)]
    assert notices == ["Linked boxes were cut at the edges of the canvas: box 2."]


def test_each_picture_of_a_batch_has_its_frame_of_boxes() -> None:
    layouts, notices = layouts_of_boxes([[[BOX], [OTHER, BOX], []]], [torch.zeros(3, SIDE, SIDE, 3)])
    assert [len(layout.instances) for layout in layouts] == [1, 2, 0]
    assert [notice.partition(":")[0] for notice in notices] == ["Picture 2", "Picture 3"]


def test_one_frame_is_for_all_pictures_at_their_own_size() -> None:
    images = [torch.zeros(1, SIDE, SIDE, 3), torch.zeros(1, 2 * SIDE, 2 * SIDE, 3)]
    layouts, _ = layouts_of_boxes([[BOX]], images)
    assert [layout.boxes[0] for layout in layouts] == [Box(*LEFT), Box(0, 0, 0.25, 0.25)]


def test_frames_that_are_not_one_for_each_picture_are_an_error() -> None:
    with pytest.raises(LayoutError, match="3 pictures and 2 frames of boxes are linked"):
        layouts_of_boxes([[[BOX], [BOX]]], [torch.zeros(3, SIDE, SIDE, 3)])


def test_bare_numbers_are_rows_not_frames() -> None:
    images = [torch.zeros(2, SIDE, SIDE, 3)]
    layouts, _ = layouts_of_boxes([[[0, 0, 32, 32], [32, 32, 64, 64]]], images, "xyxy")
    assert [layout.boxes for layout in layouts] == [[Box(*LEFT), Box(*RIGHT)]] * 2


@pytest.mark.parametrize("value", [torch.zeros(4, 4, 3), "a picture", torch.zeros(1, 0, 4, 3)])
def test_what_is_no_picture_is_an_error(value: object) -> None:
    with pytest.raises(LayoutError, match="expected pictures"):
        pictures_of([value])  # type: ignore[list-item]


def test_masks_may_come_with_and_without_a_batch_axis() -> None:
    assert [tuple(mask.shape) for mask in masks_of([torch.zeros(2, 4, 5), torch.zeros(3, 3)])] == [
        (4, 5),
        (4, 5),
        (3, 3),
    ]
    with pytest.raises(LayoutError, match=r"of shape \(1, 1, 4, 4\); expected masks"):
        masks_of([torch.zeros(1, 1, 4, 4)])


def test_either_a_layout_or_boxes_say_what_to_cut_out() -> None:
    images, layouts = [torch.zeros(2, SIDE, SIDE, 3)], [layout_of(LEFT)]
    assert source_layouts(images, layouts, None, "xywh") == (layouts * 2, [])
    assert source_layouts(images, None, [[BOX]], "xywh")[0][1].local_descriptions == ["a cat"]
    with pytest.raises(LayoutError, match="Both a layout and boxes are linked"):
        source_layouts(images, layouts, [[BOX]], "xywh")
    with pytest.raises(LayoutError, match="Neither a layout nor boxes are linked"):
        source_layouts(images, None, None, "xywh")


def test_questions_are_about_the_descriptions_and_a_check_needs_them() -> None:
    crops, _ = cut_instances([picture()], [layout_of(LEFT)], 0, 32)
    for question in ("describe", "check"):
        assert "thing 1" in questions_about(crops, question)[0]
    bare = Layout(SIDE, SIDE, (Instance(Box(*LEFT), "a cat"), Instance(Box(*RIGHT), " ")))
    crops, _ = cut_instances([picture()], [bare], 0, 32)
    assert len(questions_about(crops, "describe")) == 2
    with pytest.raises(LayoutError, match="Instance 2 of picture 1 has no description"):
        questions_about(crops, "check")
