"""Layouts in windows: crops of crops, edges, instances outside, cells of the semantic map."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ifadapter_core.crops.place import Place, Window
from ifadapter_core.crops.remap import numbers_of, remap
from ifadapter_core.geometry import build_geometry
from ifadapter_core.layout import Box, Instance, Layout, LayoutError

SIDE = 256  # pixels of the picture
CELL = 8  # pixels


def layout_of(*boxes: tuple[float, float, float, float], side: int = SIDE) -> Layout:
    """A layout of boxes in pixels of a square picture."""
    instances = tuple(
        Instance(Box(*(edge / side for edge in box)), f"thing {number}", number)
        for number, box in enumerate(boxes, 1)
    )
    return Layout(side, side, instances, "several things")


@st.composite
def windows(draw: st.DrawFn, width: int, height: int, unit: int = 1) -> Window:
    x = draw(st.integers(0, width // unit - 1))
    y = draw(st.integers(0, height // unit - 1))
    across = draw(st.integers(1, width // unit - x))
    down = draw(st.integers(1, height // unit - y))
    return Window(x * unit, y * unit, across * unit, down * unit)


EDGES = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE)).map(sorted)
BOXES = st.lists(
    st.tuples(EDGES, EDGES).map(lambda box: (box[0][0], box[1][0], box[0][1], box[1][1])), max_size=5
)


@given(BOXES, st.data())
def test_a_crop_of_a_crop_is_a_crop(boxes: list, data: st.DataObject) -> None:
    layout = layout_of(*boxes)
    outer = data.draw(windows(SIDE, SIDE))
    inner = data.draw(windows(outer.width, outer.height))
    both = Window(outer.x + inner.x, outer.y + inner.y, inner.width, inner.height)
    first = remap(layout, Place(outer, SIDE, SIDE), outer.width, outer.height)
    second = remap(first.layout, Place(inner, outer.width, outer.height), inner.width, inner.height)
    direct = remap(layout, Place(both, SIDE, SIDE), inner.width, inner.height)
    assert tuple(first.kept[index] for index in second.kept) == direct.kept
    assert second.layout.local_descriptions == direct.layout.local_descriptions
    for box, expected in zip(second.layout.boxes, direct.layout.boxes, strict=True):
        assert box == pytest.approx(expected, abs=1e-9)


@given(BOXES, st.data())
def test_every_instance_is_kept_or_left_out(boxes: list, data: st.DataObject) -> None:
    layout, window = layout_of(*boxes), data.draw(windows(SIDE, SIDE))
    part = remap(layout, Place(window, SIDE, SIDE), window.width, window.height)
    assert sorted(part.kept + part.left_out) == list(range(len(boxes)))
    assert [layout.instances[index].strength for index in part.kept] == [
        instance.strength for instance in part.layout.instances
    ]
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        across = min(x1, window.x + window.width) - max(x0, window.x)
        down = min(y1, window.y + window.height) - max(y0, window.y)
        assert (index in part.kept) == (across >= 1 and down >= 1)


@given(BOXES, st.data())
def test_a_tile_covers_the_cells_of_its_part_of_the_whole_map(boxes: list, data: st.DataObject) -> None:
    """Tiles whose edges are edges of cells, as for every tile of whole latent cells."""
    layout, window = layout_of(*boxes), data.draw(windows(SIDE, SIDE, CELL))
    part = remap(layout, Place(window, SIDE, SIDE), window.width, window.height)
    rows = slice(window.y // CELL, (window.y + window.height) // CELL)
    columns = slice(window.x // CELL, (window.x + window.width) // CELL)
    whole = covered(layout, SIDE // CELL, SIDE // CELL)[:, rows, columns]
    tile = covered(part.layout, window.height // CELL, window.width // CELL)
    assert torch.equal(tile, whole[list(part.kept)])
    flat = [index for index, (x0, y0, x1, y1) in enumerate(boxes) if x0 == x1 or y0 == y1]
    assert not whole[[index for index in part.left_out if index not in flat]].any()


def covered(layout: Layout, height: int, width: int) -> torch.Tensor:
    """The cells of each instance: bool (N, height, width)."""
    cells = torch.zeros(len(layout.instances), height, width, dtype=torch.bool)
    geometry = build_geometry(torch.tensor(layout.boxes).reshape(-1, 4), height, width)
    for each, coverage in zip(cells, geometry.coverages, strict=True):
        each[coverage.cells.rows, coverage.cells.columns] = True
    return cells


def test_a_box_is_cut_at_the_edges_of_the_window() -> None:
    layout = layout_of((0, 64, 128, 192), side=256)
    part = remap(layout, Place(Window(64, 128, 128, 128), 256, 256), 512, 512)
    assert part.layout == Layout(512, 512, (Instance(Box(0, 0, 0.5, 0.5), "thing 1", 1),), "several things")


def test_a_picture_of_another_size_than_the_layout() -> None:
    layout = layout_of((0, 0, 128, 128), side=256)
    part = remap(layout, Place(Window(0, 0, 512, 1024), 2048, 2048), 512, 1024)
    assert part.layout.boxes == [Box(0, 0, 1, 1)]


def test_a_box_that_only_touches_the_window_is_outside() -> None:
    third = Layout(300, 300, (Instance(Box(0, 0, 1 / 3 + 1e-12, 1), "a thing"),))
    part = remap(third, Place(Window(100, 0, 100, 300), 300, 300), 100, 300)
    assert (part.layout.instances, part.kept, part.left_out) == ((), (), (0,))


def test_numbers_of_instances() -> None:
    assert numbers_of([0]) == "instance 1"
    assert numbers_of([0, 4]) == "instances 1, 5"


@pytest.mark.parametrize(
    "window", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 6, 5, 5), (6, 0, 5, 5), (0, -1, 5, 5), (0, 0, 5, 0)]
)
def test_a_place_outside_of_its_picture_is_an_error(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(LayoutError, match="is not inside the picture of 10 x 10"):
        Place(Window(*window), 10, 10)
