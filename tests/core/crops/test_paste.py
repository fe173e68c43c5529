"""Pasting: unchanged crops, seams, masks, order, sizes, wrong numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ifadapter_core.crops.cut import cut
from ifadapter_core.crops.instances import cut_instances
from ifadapter_core.crops.paste import paste, paste_batches
from ifadapter_core.crops.place import Place, Window
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

SIDE = 64
ONE_LEVEL = 1 / 255  # of an 8-bit picture
WHITE = torch.ones(16, 16, 3)
BLACK = torch.zeros(SIDE, SIDE, 3)
MIDDLE = Place(Window(16, 16, 32, 32), SIDE, SIDE)
WHOLE = Place(Window(0, 0, SIDE, SIDE), SIDE, SIDE)


def noise(seed: int = 0, height: int = SIDE, width: int = SIDE) -> Tensor:
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def smooth(height: int = SIDE, width: int = SIDE) -> Tensor:
    """A picture of soft waves, 16 pixels long."""
    rows = torch.arange(height)[:, None, None] * 2 * torch.pi / 16
    columns = torch.arange(width)[None, :, None] * 2 * torch.pi / 16
    return 0.5 + 0.25 * torch.sin(rows + torch.arange(3)) + 0.25 * torch.cos(columns)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 64), st.integers(1, 64), st.integers(0, 20))
def test_unchanged_crops_give_the_picture(x: int, y: int, width: int, height: int, feather: int) -> None:
    given_picture = noise()
    window = Window(x, y, min(width, SIDE - x), min(height, SIDE - y))
    crop = cut(given_picture, window, window.width, window.height)
    (result,), notices = paste([given_picture], [crop], [Place(window, SIDE, SIDE)], feather=feather)
    assert (result - given_picture).abs().max() <= ONE_LEVEL / 100
    assert notices == []


@pytest.mark.parametrize("size", [64, 128, 256])
def test_unchanged_crops_that_were_enlarged_give_the_picture_to_two_levels(size: int) -> None:
    given_picture = smooth()
    layout = Layout(
        SIDE, SIDE, tuple(Instance(Box(*box), "a thing") for box in ((0, 0, 0.5, 0.4), (0.3, 0.3, 0.9, 0.8)))
    )
    crops, _ = cut_instances([given_picture], [layout], 0.15, size)
    pasted, notices = paste(
        [given_picture], [crop.picture[0] for crop in crops], [crop.place for crop in crops], feather=4
    )
    assert (pasted[0] - given_picture).abs().max() <= 2 * ONE_LEVEL
    assert notices == []


def test_the_picture_at_the_input_is_unchanged() -> None:
    given_picture = noise()
    before = given_picture.clone()
    paste([given_picture], [WHITE], [MIDDLE])
    assert torch.equal(given_picture, before)


def test_without_feather_the_window_is_the_crop_and_the_rest_the_picture() -> None:
    (result,), _ = paste([BLACK], [torch.ones(32, 32, 3)], [MIDDLE])
    expected = BLACK.clone()
    expected[16:48, 16:48] = 1
    assert torch.equal(result, expected)


def test_a_seam_rises_over_the_feather_inside_of_the_window() -> None:
    (result,), _ = paste([BLACK], [torch.ones(32, 32, 3)], [MIDDLE], feather=4)
    row = result[32, :, 0]
    assert row[14:22].tolist() == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    assert torch.equal(row, row.flip(0))
    assert torch.allclose(result, result.transpose(0, 1))


def test_edges_of_the_picture_stay_hard() -> None:
    place = Place(Window(0, 0, 32, SIDE), SIDE, SIDE)
    (result,), _ = paste([BLACK], [torch.ones(SIDE, 32, 3)], [place], feather=8)
    assert (result[:, :24] == 1).all()
    assert 0 < result[32, 31, 0] < 1
    assert (result[:, 32:] == 0).all()


def test_a_large_feather_leaves_the_middle_of_a_small_window() -> None:
    (result,), _ = paste([BLACK], [torch.ones(32, 32, 3)], [MIDDLE], feather=1000)
    assert (result[24:40, 24:40] == 1).all()
    assert (result[:16] == 0).all()


def test_only_the_masked_part_is_pasted() -> None:
    mask = torch.zeros(32, 32)
    mask[:, :16] = 1
    (result,), _ = paste([BLACK], [torch.ones(32, 32, 3)], [MIDDLE], [mask])
    assert (result[16:48, 16:32] == 1).all()
    assert result.sum() == 32 * 16 * 3


def test_edges_of_a_mask_are_softened_and_a_full_mask_is_no_mask() -> None:
    mask = torch.zeros(32, 32)
    mask[:, 16:] = 1
    crop = torch.ones(SIDE, SIDE, 3)
    (result,), _ = paste([BLACK], [crop], [WHOLE], [mask], feather=4)
    row = result[32, 28:36, 0]  # the mask's edge is at 32, and stretching it softens it by a pixel
    assert (row.diff() >= 0).all()
    assert 0.3 < row[3] < 0.5 < row[4] < 0.7
    assert (row[0], row[-1]) == pytest.approx((0, 1), abs=0.05)
    with_mask = paste([BLACK], [crop[:32, :32]], [MIDDLE], [torch.ones(8, 8)], feather=6).pictures[0]
    assert torch.allclose(with_mask, paste([BLACK], [crop[:32, :32]], [MIDDLE], feather=6).pictures[0])


def test_an_empty_mask_pastes_nothing() -> None:
    (result,), _ = paste([BLACK], [WHITE], [MIDDLE], [torch.zeros(16, 16)], feather=8)
    assert torch.equal(result, BLACK)


def test_later_crops_cover_earlier_ones() -> None:
    red, blue = torch.tensor([1.0, 0, 0]).expand(32, 32, 3), torch.tensor([0, 0, 1.0]).expand(32, 32, 3)
    (result,), _ = paste([BLACK], [red, blue], [MIDDLE, MIDDLE])
    assert result[32, 32].tolist() == [0, 0, 1]


def test_crops_of_a_batch_go_to_their_own_pictures() -> None:
    places = [Place(MIDDLE.window, SIDE, SIDE, image) for image in (1, 0)]
    first, second = paste([BLACK, BLACK], [WHITE, 0.5 * WHITE], places).pictures
    assert (first[32, 32, 0], second[32, 32, 0]) == (0.5, 1)


def test_batches_and_lists_keep_their_form() -> None:
    images = [torch.zeros(2, SIDE, SIDE, 3), torch.zeros(1, 2 * SIDE, 2 * SIDE, 3)]
    places = [MIDDLE, Place(Window(0, 0, 2 * SIDE, 2 * SIDE), 2 * SIDE, 2 * SIDE, 2)]
    # Two crops in one batch.
    results, _ = paste_batches(images, [torch.ones(2, 256, 256, 3)], places, [torch.ones(2, 4, 4)])
    assert [result.shape for result in results] == [image.shape for image in images]
    assert [result.amax(dim=(1, 2, 3)).tolist() for result in results] == [[1, 0], [1]]


def test_no_crops_give_the_picture() -> None:
    (result,), _ = paste_batches([BLACK[None]], [], [])
    assert torch.equal(result, BLACK[None])


def test_a_picture_that_was_enlarged_gets_the_crop_at_the_same_part() -> None:
    (result,), _ = paste([torch.zeros(2 * SIDE, 2 * SIDE, 3)], [torch.ones(64, 64, 3)], [MIDDLE])
    assert (result[32:96, 32:96] == 1).all()
    assert result.sum() == 64 * 64 * 3


def test_a_picture_of_other_proportions_is_an_error() -> None:
    with pytest.raises(
        LayoutError, match="cut from a picture of 64 x 64 pixels, and the linked picture is 64 x 128"
    ):
        paste([torch.zeros(128, SIDE, 3)], [WHITE], [MIDDLE])


def test_a_crop_that_has_to_be_enlarged_has_a_notice() -> None:
    (notice,) = paste([BLACK], [WHITE], [MIDDLE]).notices
    assert "Crop 1 of 16 x 16 pixels was pasted into 32 x 32: it was enlarged" in notice


def test_a_crop_of_other_proportions_has_a_notice() -> None:
    (notice,) = paste([BLACK], [torch.ones(64, 32, 3)], [MIDDLE]).notices
    assert "Crop 1 of 32 x 64 pixels was pasted into 32 x 32: its proportions differ" in notice


@pytest.mark.parametrize(
    ("crops", "places", "masks", "message"),
    [
        ([WHITE], [MIDDLE, MIDDLE], None, "1 crops and 2 places are linked"),
        ([WHITE, WHITE], [MIDDLE], None, "2 crops and 1 places are linked"),
        ([WHITE], [MIDDLE], [torch.ones(4, 4)] * 2, "1 crops and 2 masks are linked"),
        ([WHITE], [Place(MIDDLE.window, SIDE, SIDE, 1)], None, "belongs to picture 2, but 1 are linked"),
        ([torch.ones(4, 4, 4)], [MIDDLE], None, "has 4 channels and its picture 3"),
    ],
)
def test_wrong_numbers_are_errors(crops: list, places: list, masks: list | None, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        paste([BLACK], crops, places, masks)
