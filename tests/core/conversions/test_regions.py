"""Regions of a layout: masks, areas, strengths and what is left out with a notice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.conversions.masks import box_masks
from ifadapter_core.conversions.regions import layout_regions
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

CUP = Instance(Box(0.25, 0.25, 0.5, 0.5), "a cup")
TABLE = Instance(Box(0.0, 0.25, 1.0, 1.0), "a table", 0.5)
LAYOUT = Layout(512, 256, (TABLE, CUP))


@pytest.mark.parametrize("visible", [False, True])
@pytest.mark.parametrize("feather", [0, 16])
@pytest.mark.parametrize("areas", [False, True])
def test_masks_are_those_of_the_boxes(areas: bool, visible: bool, feather: int) -> None:
    regions, notices = layout_regions(LAYOUT, areas=areas, visible=visible, feather=feather, strength=2.0)
    assert notices == ()
    assert [region.local_description for region in regions] == ["a table", "a cup"]
    assert [region.strength for region in regions] == [1.0, 2.0]
    if areas and not visible and not feather:
        assert [region.area for region in regions] == [(0.75, 1.0, 0.25, 0.0), (0.25, 0.25, 0.25, 0.25)]
        assert all(region.mask is None for region in regions)
        return
    masks = torch.cat([region.mask for region in regions if region.mask is not None])
    assert torch.equal(masks, box_masks(LAYOUT.boxes, 256, 512, visible=visible, feather=feather))
    assert all(region.area is None for region in regions)
    assert all(region.within_bounds == areas for region in regions)


@pytest.mark.parametrize("areas", [False, True])
def test_instances_without_words_or_strength_have_no_region_and_it_is_said(areas: bool) -> None:
    silent, off = Instance(CUP.box, " \n"), Instance(CUP.box, "a lamp", 0.0)
    layout = Layout(512, 512, (TABLE, silent, off, silent))
    regions, notices = layout_regions(layout, areas=areas)
    assert [region.local_description for region in regions] == ["a table"]
    assert notices == (
        "Box 2, 4: no local description, so the global conditioning acts there.",
        "Box 3: strength 0, so it has no region.",
    )


def test_a_box_without_a_region_still_hides_those_behind_it() -> None:
    layout = Layout(64, 64, (TABLE, Instance(CUP.box, "")))
    (region,), _ = layout_regions(layout, visible=True)
    assert region.mask is not None
    assert not region.mask[0, 16:32, 16:32].any()


def test_a_hidden_instance_has_no_region_and_it_is_said() -> None:
    layout = Layout(64, 64, (CUP, TABLE))
    regions, notices = layout_regions(layout, visible=True)
    assert [region.local_description for region in regions] == ["a table"]
    assert notices == ("Box 1: completely hidden by nearer boxes, so it has no region.",)
    assert len(layout_regions(layout).regions) == 2


@pytest.mark.parametrize(("strength", "own"), [(1.0, -0.5), (-1.0, 1.0)])
def test_a_negative_strength_is_an_error_that_names_the_box(strength: float, own: float) -> None:
    layout = Layout(64, 64, (TABLE, Instance(CUP.box, "a cup", own)))
    with pytest.raises(LayoutError, match=r"Box [12] has the strength -"):
        layout_regions(layout, strength=strength)


def test_masks_under_a_cell_of_the_latent_picture_are_said() -> None:
    layout = Layout(1024, 1024, (Instance(Box(0.5, 0.5, 0.5 + 7 / 1024, 0.9), "a candle"), CUP))
    regions, notices = layout_regions(layout)
    assert len(regions) == 2
    (notice,) = notices
    assert notice.startswith("Box 1: a side under 8 pixels")


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 2048),
    st.integers(1, 2048),
)
def test_areas_contain_their_box_inside_the_picture_and_have_64_pixels(
    x: float, right: float, y: float, bottom: float, width: int, height: int
) -> None:
    x, right, y, bottom = *sorted((x, right)), *sorted((y, bottom))
    layout = Layout(width, height, (Instance(Box(x, y, right, bottom), "a thing"),))
    (region,), notices = layout_regions(layout, areas=True)
    area = region.area
    assert area is not None
    assert area.x >= 0
    assert area.y >= 0
    assert area.x <= x + 1e-9
    assert area.y <= y + 1e-9
    assert right - 1e-9 <= area.x + area.width <= 1 + 1e-9
    assert bottom - 1e-9 <= area.y + area.height <= 1 + 1e-9
    assert area.width * width >= min(64, width) - 1e-6
    assert area.height * height >= min(64, height) - 1e-6
    was_small = (right - x) * width < 64 or (bottom - y) * height < 64
    assert bool(notices) == was_small
    # The host rounds areas to cells of the latent picture, at least one inside it.
    for size, start, side in ((width, area.x, area.width), (height, area.y, area.height)):
        for cell in (8, 16, 32):
            cells = max(1, size // cell)
            first = round(start * cells)
            assert min(cells - first, max(1, round(side * cells))) >= 1


def test_no_instances_give_no_regions() -> None:
    assert layout_regions(Layout(64, 64)) == ((), ())
