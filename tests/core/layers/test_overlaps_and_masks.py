"""Overlap rule and instance masks: covered cells and residual against the reference."""

from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.geometry import build_geometry
from layer_scenes import (
    ORDERS,
    OVERLAPPING,
    TOLERANCE,
    WHOLE_CANVAS,
    Scene,
    adapter,
    covered_cells,
    difference,
    front_only,
    run,
    run_reference,
    scenes,
)


@settings(max_examples=30)
@given(scene=scenes(min_count=2), order=st.sampled_from(sorted(ORDERS)))
@example(scene=OVERLAPPING, order="gate_before_softmax")
@example(
    scene=Scene(torch.tensor([[0.2, 0.2, 0.7, 0.7], [0.0, 0.0, 1.0, 1.0]]), 6, 5), order="gate_before_softmax"
)
def test_front_hides_back_gives_overlaps_to_the_later_instance(scene: Scene, order: str) -> None:
    masks = front_only(reference.box_masks(scene.boxes, scene.height, scene.width))
    geometry = build_geometry(scene.boxes, scene.height, scene.width, front_hides_back=True)
    assert covered_cells(geometry).equal(masks)
    assert [coverage.area for coverage in geometry.coverages] == masks.sum(dim=(1, 2)).tolist()
    got = run(adapter(order=order), scene, front_hides_back=True)
    assert difference(got, run_reference(scene, order=ORDERS[order], masks=masks)) < TOLERANCE


def test_front_instance_with_strength_0_still_hides_others() -> None:
    scene = Scene(torch.tensor([[0.0, 0.0, 0.6, 1.0], [0.4, 0.0, 1.0, 1.0]]), 4, 10)
    residual = run(adapter(), scene, front_hides_back=True, strengths=[1.0, 0.0]).unflatten(1, (4, 10))
    assert residual[:, :, 4:].abs().max() == 0
    assert bool((residual[:, :, :4].abs().amax(dim=-1) > 0).all())


@settings(max_examples=30)
@given(scene=scenes(max_count=6), size=st.tuples(st.integers(1, 40), st.integers(1, 40)), hides=st.booleans())
def test_mask_of_ones_equals_no_mask(scene: Scene, size: tuple[int, int], hides: bool) -> None:
    ones = torch.ones(scene.count, *size)
    assert run(adapter(), scene, ones, hides).equal(run(adapter(), scene, None, hides))


def random_masks(scene: Scene, factor: int, style: str) -> Tensor:
    """Masks (N, h factor, w factor): 0 or 1, eighths up to 1, all 0, or eighths below 0.5 ("faint")."""
    generator = torch.Generator().manual_seed(scene.seed + 2)
    shape = (scene.count, scene.height * factor, scene.width * factor)
    if style == "hard":
        return (torch.rand(shape, generator=generator) < 0.5).float()
    if style == "soft":
        return torch.randint(0, 9, shape, generator=generator) / 8
    if style == "empty":
        return torch.zeros(shape)
    return torch.randint(0, 4, shape, generator=generator) / 8  # faint


def refined(scene: Scene, masks: Tensor, factor: int) -> Tensor:
    """Cells of each box with a masked fraction of at least 0.5; otherwise those with the largest above 0."""
    boxes = reference.box_masks(scene.boxes, scene.height, scene.width)
    kept = torch.zeros_like(boxes)
    for i in range(scene.count):
        covered = {}
        for y, x in boxes[i].nonzero().tolist():
            covered[y, x] = (
                masks[i, y * factor : (y + 1) * factor, x * factor : (x + 1) * factor].mean().item()
            )
        threshold = 0.5 if max(covered.values()) >= 0.5 else max(covered.values())
        for (y, x), part in covered.items():
            kept[i, y, x] = part > 0 and part >= threshold
    return kept


@settings(max_examples=40)
@given(
    scene=scenes(max_count=6),
    factor=st.sampled_from([1, 2, 4]),
    style=st.sampled_from(["hard", "soft", "faint", "empty"]),
    hides=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
)
@example(scene=OVERLAPPING, factor=2, style="hard", hides=False, order="gate_before_softmax")
@example(scene=OVERLAPPING, factor=4, style="faint", hides=True, order="gate_before_softmax")
@example(scene=OVERLAPPING, factor=1, style="empty", hides=True, order="gate_before_softmax")
@example(scene=WHOLE_CANVAS, factor=2, style="hard", hides=False, order="gate_before_softmax")
def test_masks_refine_the_boxes(scene: Scene, factor: int, style: str, hides: bool, order: str) -> None:
    masks = random_masks(scene, factor, style)
    want = refined(scene, masks, factor)
    want = front_only(want) if hides else want
    assert covered_cells(build_geometry(scene.boxes, scene.height, scene.width, masks, hides)).equal(want)
    got = run(adapter(order=order), scene, masks, hides)
    assert difference(got, run_reference(scene, order=ORDERS[order], masks=want)) < TOLERANCE


def test_mask_has_no_effect_outside_its_box() -> None:
    scene = Scene(torch.tensor([[0.25, 0.25, 0.75, 0.75]]), 8, 8)
    masks = torch.zeros(1, 8, 8)
    masks[0, :, :4] = 1
    residual = run(adapter(), scene, masks).unflatten(1, (8, 8)).abs().amax(dim=(0, 3)) > 0
    want = torch.zeros(8, 8, dtype=torch.bool)
    want[2:6, 2:4] = True
    assert residual.equal(want)
