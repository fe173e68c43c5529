"""Dense computation in slots, against the adapter's packed computation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ifadapter_core.geometry import build_geometry, cell_range
from ifadapter_core.layout import Layout
from ifadapter_diffusers.randomness import seeded_generator
from shapes.models.slots import Slots, SlotUNet, covered_cells, grid_of_slots
from tiny_models import adapter_stage, layout
from training.adapter_stage import AdapterStage
from training.objective.denoising import training_groups

SLOTS = 10  # of the tiny adapter


def random_boxes(count: int) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=seeded_generator(5)).sort(dim=1).values
    return corners.flatten(1)


def test_covered_cells_are_those_of_the_core() -> None:
    boxes = torch.cat([random_boxes(40), torch.tensor([[0.0, 0.0, 1.0, 1.0], [1.0, 0.5, 1.0, 0.5]])])
    for height, width in ((16, 16), (3, 7), (1, 1)):
        covered = covered_cells(boxes[None], height, width)[0].unflatten(1, (height, width))
        for cells, box in zip(covered, boxes.tolist(), strict=True):
            expected = torch.zeros(height, width, dtype=torch.bool)
            wanted = cell_range(box, height, width)
            expected[wanted.rows, wanted.columns] = True
            assert torch.equal(cells, expected)


def test_area_gates_are_those_of_the_core() -> None:
    boxes = random_boxes(4)
    present = torch.tensor([[True, True, True, False]])
    grid = grid_of_slots(boxes[None], present, 8, 8)
    expected = build_geometry(boxes[:3], 8, 8).area_gates
    assert grid.gates[0, :3].tolist() == pytest.approx(expected)
    assert grid.gates[0, 3] == 0.5
    assert not grid.covered[0, 3].any()


def slots_of(stage: AdapterStage, layouts: list[Layout]) -> Slots:
    groups = training_groups(stage.adapter, stage.base, layouts, [False] * len(layouts), 1)
    tokens = torch.zeros(len(layouts), SLOTS, *groups[0].tokens.shape[2:])
    boxes, present = torch.zeros(len(layouts), SLOTS, 4), torch.zeros(len(layouts), SLOTS, dtype=torch.bool)
    for row, group in enumerate(groups):
        count = len(group.boxes)
        tokens[row, :count], boxes[row, :count] = group.tokens[0], group.boxes
        present[row, :count] = True
    return Slots(tokens, boxes, present)


def test_slots_predict_what_packed_instances_predict(tmp_path: Path) -> None:
    stage = adapter_stage(tmp_path)
    layouts = [layout(number, count) for number, count in enumerate((1, 3, 6))]
    generator = seeded_generator(1)
    for parameter in stage.adapter.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    latents, timesteps = torch.randn(3, 4, 16, 16, generator=generator), torch.tensor([10, 500, 900])
    conditioning = stage.base.condition(["a red circle"] * 3, (32, 32))

    packed = stage.objective.adapted
    groups = training_groups(stage.adapter, stage.base, layouts, [False] * 3, 1)
    expected = packed(latents, timesteps, conditioning, groups)
    without = packed(latents, timesteps, conditioning)
    dense = SlotUNet(stage.base.unet, stage.adapter)
    slots = slots_of(stage, layouts)
    given = dense.denoise(latents, timesteps, conditioning, slots)
    assert torch.allclose(given, expected, atol=1e-4)
    assert (expected - without).abs().max() > 0.05
    # The sample sheets use the packed computation of the same object.
    assert torch.allclose(dense(latents, timesteps, conditioning, groups), expected, atol=1e-4)


def test_other_numbers_of_slots_are_rejected(tmp_path: Path) -> None:
    stage = adapter_stage(tmp_path)
    dense = SlotUNet(stage.base.unet, stage.adapter)
    slots = Slots(torch.zeros(1, 4, 7, 32), torch.zeros(1, 4, 4), torch.ones(1, 4, dtype=torch.bool))
    conditioning = stage.base.condition([""], (32, 32))
    with pytest.raises(ValueError, match=r"4 slots and the adapter has 10.*adapter\.shape\.slots"):
        dense.denoise(torch.zeros(1, 4, 16, 16), torch.tensor([1]), conditioning, slots)
