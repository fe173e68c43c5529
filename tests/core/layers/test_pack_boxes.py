"""Packing boxes at once equals packing the geometry of each row."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.geometry import NOWHERE, build_geometry
from ifadapter_core.packed import PackedInstances
from ifadapter_core.packing import pack_boxes, pack_instances
from layer_scenes import single_boxes

boxes_or_nowhere = st.one_of(single_boxes(), single_boxes(), st.just(NOWHERE))
layouts = st.lists(st.lists(boxes_or_nowhere, max_size=6), min_size=1, max_size=5)


def leaves(value: Any) -> list[Any]:
    """All tensors and numbers in nested dataclasses and tuples."""
    if hasattr(value, "__dataclass_fields__"):
        return [leaf for name in value.__dataclass_fields__ for leaf in leaves(getattr(value, name))]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, tuple) else [value]


def assert_equal(got: PackedInstances, want: PackedInstances) -> None:
    pairs = list(zip(leaves(got), leaves(want), strict=True))
    assert len(pairs) > 15
    for a, b in pairs:
        assert a.dtype == b.dtype and a.equal(b) if isinstance(b, Tensor) else a == b


@settings(max_examples=60)
@given(
    layout=layouts,
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
    data=st.data(),
)
@example(layout=[[], [NOWHERE]], size=(3, 4), seed=0, data=None)
@example(layout=[[(0.0, 0.0, 1.0, 1.0)] * 5], size=(32, 32), seed=0, data=None)
def test_boxes_pack_as_their_geometries_in_any_order(
    layout: list[list[tuple[float, ...]]], size: tuple[int, int], seed: int, data: st.DataObject | None
) -> None:
    generator = torch.Generator().manual_seed(seed)
    counts = [len(row) for row in layout]
    hides = [data is not None and data.draw(st.booleans()) for _ in layout]
    boxes = torch.tensor([box for row in layout for box in row]).reshape(-1, 4)
    strengths = torch.rand(len(boxes), generator=generator)

    # Instances of different rows in a random order, those of one row in their own.
    row = torch.arange(len(layout)).repeat_interleave(torch.tensor(counts))
    row = row[torch.randperm(len(row), generator=generator)]
    order = row.argsort(stable=True)
    given_boxes, given_strengths = torch.empty_like(boxes), torch.empty_like(strengths)
    given_boxes[order], given_strengths[order] = boxes, strengths

    got = pack_boxes(
        given_boxes,
        row,
        len(layout),
        *size,
        strengths=given_strengths,
        front_hides_back=torch.tensor(hides)[row],
    )
    geometries = [
        build_geometry(part, *size, front_hides_back=hide)
        for part, hide in zip(boxes.split(counts), hides, strict=True)
    ]
    want = pack_instances(
        geometries, [part.tolist() for part in strengths.split(counts)], sources=order.tolist()
    )
    assert_equal(got, want)


@settings(max_examples=30)
@given(layout=layouts, height=st.integers(1, 13), width=st.integers(1, 13))
def test_area_gates_match_the_equation(
    layout: list[list[tuple[float, ...]]], height: int, width: int
) -> None:
    row = torch.tensor([number for number, part in enumerate(layout) for _ in part], dtype=torch.long)
    boxes = torch.tensor([box for part in layout for box in part]).reshape(-1, 4)
    packed = pack_boxes(boxes, row, len(layout), height, width)
    want = []
    for part in layout:
        masks = [
            torch.zeros(height, width, dtype=torch.bool)
            if box == NOWHERE
            else reference.box_mask(torch.tensor(box), height, width)
            for box in part
        ]
        foreground = int(torch.stack(masks).any(dim=0).sum()) if masks else 0
        areas = [int(mask.sum()) for mask in masks]
        want += [1 / (1 + math.exp(-foreground / area)) if area else 0.5 for area in areas]
    assert packed.gates.tolist() == pytest.approx(want, rel=1e-7)


BOXES = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"row": torch.tensor([0])}, r"row has shape \(1,\); expected \(2,\)"),
        ({"row": torch.tensor([0, 3])}, r"row has numbers in 0..3; expected 0..2"),
        ({"row": torch.tensor([-1, 0])}, r"row has numbers in -1..0"),
        ({"strengths": torch.ones(3)}, r"strengths has shape \(3,\)"),
        ({"front_hides_back": torch.ones(2, 1, dtype=torch.bool)}, r"front_hides_back has shape \(2, 1\)"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Tensor], message: str) -> None:
    given = {"row": torch.tensor([0, 2]), **arguments}
    with pytest.raises(ValueError, match=message):
        pack_boxes(BOXES, rows=3, height=4, width=4, **given)


@pytest.mark.parametrize("strengths", [[[1.0, 1.0, 9.0], [2.0, 3.0]], [[1.0], [1.0, 2.0]], [[1.0, 2.0]]])
def test_strengths_that_do_not_fit_the_rows_are_refused(strengths: list[list[float]]) -> None:
    geometry = build_geometry(BOXES, 4, 4)
    with pytest.raises(ValueError, match=r"for \[2, 2\] instances"):
        pack_instances([geometry, geometry], strengths)


def test_sources_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="sources has 3 indices for 2 instances"):
        pack_instances([build_geometry(BOXES, 4, 4)], [[1.0, 1.0]], sources=[0, 1, 2])
