"""Semantic maps: geometry, checks of masks, and the preview of cell owners."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.geometry import build_geometry
from ifadapter_core.semantic_map import BACKGROUND, SemanticMap, cell_owners, check_masks
from ifadapter_core.tokens import InstanceTokens

BOXES = torch.tensor([[0.0, 0.0, 0.5, 1.0], [0.25, 0.25, 1.0, 0.75]])


def tokens_for(boxes: Tensor) -> InstanceTokens:
    empty = torch.zeros(len(boxes), 13, 4)
    return InstanceTokens(empty, empty, boxes, (1.0,) * len(boxes))


@st.composite
def box_lists(draw: st.DrawFn, max_count: int = 5) -> Tensor:
    count = draw(st.integers(1, max_count))
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(draw(st.integers(0, 9999))))
    return corners.sort(dim=1).values.flatten(1)


def test_geometry_follows_masks_and_depth_order() -> None:
    masks = torch.zeros(2, 8, 8)
    masks[:, :4] = 1
    geometry = SemanticMap(tokens_for(BOXES), masks, front_hides_back=True).geometry(8, 8)
    assert [coverage.area for coverage in geometry.coverages] == [16 - 4, 12]
    assert (geometry.height, geometry.width) == (8, 8)


def test_geometry_uses_whole_boxes_by_default() -> None:
    for height, width in ((8, 8), (5, 11), (1, 3)):
        geometry = SemanticMap(tokens_for(BOXES)).geometry(height, width)
        masks = reference.box_masks(BOXES, height, width)
        assert [coverage.area for coverage in geometry.coverages] == masks.sum(dim=(1, 2)).tolist()
        assert geometry.area_gates == build_geometry(BOXES, height, width).area_gates


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (8, 8), (2, 1, 8, 8)])
def test_wrong_number_of_masks_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"masks has shape \(.*\) for 2 instances"):
        SemanticMap(tokens_for(BOXES), torch.ones(shape))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_error_names_a_mask_that_is_empty_inside_its_box(value: float) -> None:
    masks = torch.ones(2, 16, 16)
    masks[1, 4:12, 4:] = value
    with pytest.raises(ValueError, match="Mask 2 is empty inside box 2"):
        SemanticMap(tokens_for(BOXES), masks)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_error_names_a_mask_that_is_not_finite_inside_its_box(value: float) -> None:
    masks = torch.ones(2, 16, 16)
    masks[1, 8, 8] = value
    with pytest.raises(ValueError, match="Mask 2 is not finite inside box 2"):
        SemanticMap(tokens_for(BOXES), masks)


def test_masks_without_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        SemanticMap(tokens_for(BOXES), torch.ones(2, 16, 16, device="meta"))


@settings(max_examples=60)
@given(
    boxes=box_lists(3),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    grid=st.tuples(st.integers(1, 13), st.integers(1, 13)),
)
def test_accepted_masks_cover_a_cell_on_every_grid(
    boxes: Tensor, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    masks = (
        torch.rand(len(boxes), *size, generator=torch.Generator().manual_seed(size[0] * 31 + size[1])) < 0.1
    ).float()
    try:
        check_masks(masks, boxes)
    except ValueError:
        masks[:] = 0.01
        check_masks(masks, boxes)
    assert min(coverage.area for coverage in build_geometry(boxes, *grid, masks).coverages) >= 1


@settings(max_examples=60)
@given(
    boxes=box_lists(),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    masked=st.booleans(),
    hides=st.booleans(),
)
def test_owner_of_a_cell_has_the_largest_gate(
    boxes: Tensor, height: int, width: int, masked: bool, hides: bool
) -> None:
    generator = torch.Generator().manual_seed(height * 17 + width)
    masks = (torch.rand(len(boxes), height, width, generator=generator) < 0.6).float() if masked else None
    geometry = build_geometry(boxes, height, width, masks, hides)
    owners = cell_owners(geometry)
    assert owners.shape == (height, width)
    for y in range(height):
        for x in range(width):
            gates = {}
            for index, coverage in enumerate(geometry.coverages):
                cells = coverage.cells
                inside = cells.y0 <= y < cells.y1 and cells.x0 <= x < cells.x1
                if inside and (
                    coverage.visible is None or bool(coverage.visible[y - cells.y0, x - cells.x0])
                ):
                    gates[index] = round(geometry.area_gates[index], 6)
            best = max(gates.values(), default=0.0)
            assert owners[y, x].item() == max(
                (index for index, gate in gates.items() if gate == best), default=BACKGROUND
            )


def test_later_of_equal_instances_owns_the_cells() -> None:
    assert cell_owners(build_geometry(torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3), 2, 3)).eq(2).all()
