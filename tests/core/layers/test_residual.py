"""Residual of one adapted layer against the reference: slots, fusion order, strengths."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from ifadapter_core.bands import MAX_AREA_RATIO
from ifadapter_core.checkpoint import build_adapter, read_checkpoint
from ifadapter_core.geometry import build_geometry
from ifadapter_core.packing import pack_instances
from layer_scenes import (
    ORDERS,
    OTHER_PROCESSOR,
    OTHER_WIDTH,
    OVERLAPPING,
    PROCESSOR,
    TOLERANCE,
    WHOLE_CANVAS,
    WIDTH,
    Scene,
    adapter,
    difference,
    exact_checkpoint,
    exact_layer,
    flatten_rows,
    make_phrases,
    run,
    run_reference,
    scenes,
)


@settings(max_examples=80)
@given(scene=scenes())
@example(scene=OVERLAPPING)
@example(scene=WHOLE_CANVAS)
@example(scene=Scene(torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 14), 3, 2))
@example(scene=Scene(torch.tensor([[0.9, 0.9, 0.90001, 0.90001]]), 11, 6))
def test_residual_matches_the_reference(scene: Scene) -> None:
    assert difference(run(adapter(), scene), run_reference(scene)) < TOLERANCE


@settings(max_examples=50)
@given(scene=scenes(), slots=st.sampled_from([1, 3, 10, 17]), order=st.sampled_from(sorted(ORDERS)))
@example(scene=OVERLAPPING, slots=10, order="gate_before_softmax")
@example(scene=OVERLAPPING, slots=5, order="gate_after_softmax")
@example(scene=WHOLE_CANVAS, slots=1, order="gate_before_softmax")
def test_residual_packed_as_on_a_gpu(scene: Scene, slots: int, order: str) -> None:
    got = run(adapter(order=order, slots=slots), scene, in_chunks=False)
    assert difference(got, run_reference(scene, slots=slots, order=ORDERS[order])) < TOLERANCE


@settings(max_examples=50)
@given(scene=scenes(), slots=st.sampled_from([1, 2, 3, 8, 10, 12, 17]), order=st.sampled_from(sorted(ORDERS)))
@example(scene=OVERLAPPING, slots=10, order="gate_after_softmax")
@example(scene=OVERLAPPING, slots=5, order="gate_after_softmax")
@example(scene=OVERLAPPING, slots=4, order="gate_before_softmax")
@example(scene=OVERLAPPING, slots=6, order="gate_before_softmax")
def test_residual_with_other_slots_and_fusion_orders(scene: Scene, slots: int, order: str) -> None:
    got = run(adapter(order=order, slots=slots), scene)
    assert difference(got, run_reference(scene, slots=slots, order=ORDERS[order])) < TOLERANCE


@settings(max_examples=10)
@given(scene=scenes(max_count=5))
def test_residual_of_a_layer_with_another_width(scene: Scene) -> None:
    q, tokens = scene.queries(OTHER_WIDTH), scene.tokens()
    got = run(adapter(), scene, processor=OTHER_PROCESSOR, q=q)
    want = reference.layer_residual(
        exact_layer(OTHER_PROCESSOR), q.double(), tokens.double(), scene.boxes, scene.height, scene.width
    )
    assert difference(got, want) < TOLERANCE


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_slots_and_gate_change_the_residual_of_the_test_scene(order: str) -> None:
    """Otherwise the comparisons above would prove little."""
    release = run_reference(OVERLAPPING, order=ORDERS[order])
    assert release.abs().max() > 0.1
    assert difference(release, run_reference(OVERLAPPING, order=ORDERS[order], slots=9)) > 1e-3
    other = next(name for name in ORDERS.values() if name != ORDERS[order])
    assert difference(release, run_reference(OVERLAPPING, order=other)) > 1e-2


@pytest.mark.parametrize("scene", [OVERLAPPING, WHOLE_CANVAS])
def test_float64_queries_give_a_float64_residual(scene: Scene) -> None:
    net = build_adapter(read_checkpoint(exact_checkpoint()))
    got = run(net, scene, q=scene.queries().double(), tokens=scene.tokens().double())
    assert got.dtype == torch.float64
    assert difference(got, run_reference(scene)) < TOLERANCE


def test_rows_are_independent() -> None:
    net, scene = adapter(), replace(OVERLAPPING, rows=3)
    q, tokens = scene.queries(), scene.tokens()
    together = run(net, scene)
    for row in range(3):
        alone = run(net, replace(scene, rows=1), q=q[row : row + 1], tokens=tokens[row : row + 1])
        assert difference(alone[0], together[row]) < TOLERANCE
    swapped = run(net, scene, tokens=tokens[[1, 0, 2]])
    assert difference(swapped[2], together[2]) < TOLERANCE
    assert difference(swapped[0], together[0]) > 1e-2


def test_text_features_to_residual() -> None:
    """End to end, with cond and uncond rows in one batch, as in sampling."""
    scene = replace(OVERLAPPING, rows=2)
    phrases = make_phrases(8, [5, 11, 3, 8, 6], 11, scene.boxes)
    tokens = adapter().encode_instances(*phrases.all())
    want = phrases.all(torch.float64)
    rows = torch.stack(
        [
            reference.null_tokens(exact_checkpoint(), *want),
            reference.instance_tokens(exact_checkpoint(), *want),
        ]
    )
    got = run(adapter(), scene, tokens=torch.stack([tokens.uncond, tokens.cond]))
    assert difference(got, run_reference(scene, rows)) < TOLERANCE


@settings(max_examples=25)
@given(scene=scenes())
def test_residual_is_exactly_zero_outside_the_boxes(scene: Scene) -> None:
    background = ~reference.box_masks(scene.boxes, scene.height, scene.width).any(dim=0)
    residual = run(adapter(), scene).unflatten(1, (scene.height, scene.width))
    assert bool((residual[:, background] == 0).all())
    assert bool((residual[:, ~background].abs().amax(dim=-1) > 0).all())


@settings(max_examples=30)
@given(scene=scenes(min_count=2), order=st.sampled_from(sorted(ORDERS)), data=st.data())
def test_order_of_instances_does_not_matter(scene: Scene, order: str, data: st.DataObject) -> None:
    permutation = data.draw(st.permutations(range(scene.count)))
    net = adapter(order=order)
    got = run(
        net,
        replace(scene, boxes=scene.boxes[permutation]),
        q=scene.queries(),
        tokens=scene.tokens()[:, permutation],
    )
    assert difference(got, run(net, scene)) < TOLERANCE


@settings(max_examples=30)
@given(scene=scenes(max_count=8), order=st.sampled_from(sorted(ORDERS)), data=st.data())
def test_strengths_scale_each_instance(scene: Scene, order: str, data: st.DataObject) -> None:
    strengths = data.draw(
        st.lists(st.sampled_from([0.0, 0.3, 1.0, 1.7, -0.5]), min_size=scene.count, max_size=scene.count)
    )
    got = run(adapter(order=order), scene, strengths=strengths)
    assert difference(got, run_reference(scene, order=ORDERS[order], strengths=strengths)) < TOLERANCE


def test_strength_0_does_not_change_other_instances() -> None:
    net, scene = adapter(), OVERLAPPING
    whole = run(net, scene)
    shares = [
        run(net, scene, strengths=[float(i == chosen) for i in range(scene.count)])
        for chosen in range(scene.count)
    ]
    assert difference(torch.stack(shares).sum(dim=0), whole) < TOLERANCE
    assert difference(run(net, scene, strengths=[1.0, 0.0, 1.0, 1.0, 1.0]), whole - shares[1]) < TOLERANCE
    assert difference(run(net, scene, strengths=[0.5] * 5), 0.5 * whole) < TOLERANCE
    assert run(net, scene, strengths=[0.0] * 5).abs().max() == 0


@pytest.mark.parametrize(
    ("appearance", "eot", "kept"), [(True, False, slice(0, 12)), (False, True, slice(12, 13))]
)
def test_residual_of_selected_tokens(appearance: bool, eot: bool, kept: slice) -> None:
    scene = replace(OVERLAPPING, rows=1)
    phrases = make_phrases(9, [5, 11, 3, 8, 6], 11, scene.boxes)
    tokens = adapter().encode_instances(*phrases.all()).select(appearance, eot)
    want = reference.instance_tokens(exact_checkpoint(), *phrases.all(torch.float64))[:, kept]
    assert difference(run(adapter(), scene, tokens=tokens.cond[None]), run_reference(scene, want)) < TOLERANCE


def test_layer_uses_the_given_attention_function() -> None:
    calls: list[tuple[int, ...]] = []

    def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        calls.append((*q.shape, *k.shape, heads))
        return v.mean(dim=1, keepdim=True).expand(-1, q.shape[1], -1)

    net, scene = adapter(), OVERLAPPING
    geometry = build_geometry(scene.boxes, scene.height, scene.width)
    keys_values = net.keys_values(str(PROCESSOR), scene.tokens())
    out = net.layers[str(PROCESSOR)](
        scene.queries(),
        flatten_rows(keys_values),
        pack_instances([geometry] * 2, [(1.0,) * scene.count] * 2),
        attend,
    )
    assert out.shape == (2, 9 * 12, WIDTH)
    assert all(
        call[2:3] + call[4:] == (WIDTH, 13, WIDTH, WIDTH // 16) and call[0] == call[3] for call in calls
    )
    assert sum(call[0] for call in calls) == 2 * scene.count
    covered = sum(coverage.area for coverage in geometry.coverages)
    # Only cells inside boxes are computed.
    assert covered <= sum(call[0] * call[1] for call in calls) / 2 <= MAX_AREA_RATIO * covered
