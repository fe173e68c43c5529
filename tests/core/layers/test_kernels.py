"""Triton's kernels, in its interpreter on the CPU, equal the plain forward; and when they are used."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ifadapter_core.geometry import build_geometry
from ifadapter_core.modules.attention import add_semantic_map
from ifadapter_core.modules.kernels import choice
from ifadapter_core.modules.plan import LayerPlan, make_plan
from ifadapter_core.packing import pack_instances
from layer_scenes import (
    OTHER_PROCESSOR,
    OTHER_WIDTH,
    OVERLAPPING,
    PROCESSOR,
    WHOLE_CANVAS,
    WIDTH,
    Scene,
    adapter,
    difference,
    flatten_rows,
)


@dataclass(frozen=True)
class Case:
    """scene: the instances. dtype: of the queries. Others: see ``adapter`` and ``pack_instances``."""

    scene: Scene
    dtype: torch.dtype = torch.float32
    order: str = "gate_before_softmax"
    in_chunks: bool = False
    front_hides_back: bool = False
    per_instance: int = 13
    processor: int = PROCESSOR


def random_scene(count: int, height: int, width: int, rows: int) -> Scene:
    generator = torch.Generator().manual_seed(count)
    boxes = torch.rand(count, 2, 2, generator=generator).sort(dim=1).values.flatten(1)
    return Scene(boxes, height, width, rows=rows)


TWIN_BOXES = Scene(torch.tensor([[0.2, 0.2, 0.9, 0.8]]).repeat(12, 1), 5, 6, rows=1)
UNLIKE_SIZES = Scene(torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.5, 0.5]]), 9, 9)
CASES = {
    "release": Case(OVERLAPPING),
    "paper": Case(OVERLAPPING, order="gate_after_softmax"),
    "float16": Case(OVERLAPPING, torch.float16),
    "float16 paper": Case(OVERLAPPING, torch.float16, order="gate_after_softmax"),
    "bands": Case(OVERLAPPING, in_chunks=True),
    "front hides back": Case(OVERLAPPING, front_hides_back=True),
    "whole canvas": Case(WHOLE_CANVAS),
    "more instances than slots": Case(random_scene(14, 7, 6, rows=3)),
    "twelve in one place": Case(TWIN_BOXES),
    "unlike sizes": Case(UNLIKE_SIZES),
    "one token": Case(WHOLE_CANVAS, per_instance=1),
    "many tokens": Case(WHOLE_CANVAS, per_instance=33),
    "a width that is no power of two": Case(WHOLE_CANVAS, processor=OTHER_PROCESSOR),
}
TOLERANCES = {torch.float32: 2e-6, torch.float16: 4e-3}


def queries_of(case: Case) -> Tensor:
    return case.scene.queries(OTHER_WIDTH if case.processor == OTHER_PROCESSOR else WIDTH).to(case.dtype)


def plan_of(case: Case) -> LayerPlan:
    scene, net, name = case.scene, adapter(order=case.order), str(case.processor)
    instances = flatten_rows(net.keys_values(name, scene.tokens(case.per_instance)))
    geometry = build_geometry(scene.boxes, scene.height, scene.width, front_hides_back=case.front_hides_back)
    strengths = [[0.5 + 0.1 * number for number in range(scene.count)]] * scene.rows
    packed = pack_instances([geometry] * scene.rows, strengths, in_chunks=case.in_chunks)
    weights = net.layers[name].weights(torch.device("cpu"), case.dtype)
    return make_plan(weights, instances.k, instances.v, packed)


@pytest.mark.parametrize("name", CASES)
def test_kernels_equal_the_plain_forward(name: str) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    from ifadapter_core.modules.kernels import forward

    case = CASES[name]
    with torch.no_grad():
        q, plan = queries_of(case), plan_of(case)
        below = torch.randn(q.shape, generator=torch.Generator().manual_seed(7)).to(case.dtype)
        want, got = add_semantic_map(q, plan, out=below.clone()), below.clone()
        returned = forward.add_semantic_map(q, plan, got)

    assert returned is got
    assert difference(want, below) > 0.01
    assert difference(got, want) < TOLERANCES[case.dtype] * want.abs().max().item()


def test_a_plan_prepares_its_launches_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU issues the launches while the GPU waits: a call only allocates and launches."""
    pytest.importorskip("triton", reason="Triton is not installed")
    from ifadapter_core.modules.kernels import forward

    case = Case(OVERLAPPING)
    with torch.no_grad():
        q, plan = queries_of(case), plan_of(case)
        first = forward.add_semantic_map(q, plan, torch.zeros_like(q))
        monkeypatch.setattr(forward, "Launches", None)
        again = forward.add_semantic_map(q, plan, torch.zeros_like(q))
    assert torch.equal(again, first)
    assert first.any()


def test_elsewhere_the_choice_is_one_look_at_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs next to nothing where the kernels do not apply."""
    monkeypatch.setattr(choice, "os", None)
    monkeypatch.setattr(choice, "torch", None)
    q = torch.zeros(1, 1, 1)
    assert not choice.TritonKernels().add_semantic_map(q, None, q)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> choice.TritonKernels:
    """Kernels that have not failed yet, for tensors on the CPU."""
    monkeypatch.setattr(choice, "DEVICE_TYPE", "cpu")
    monkeypatch.delenv(choice.SWITCH, raising=False)
    return choice.TritonKernels()


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The queries of each launch. The launches do nothing."""
    queries: list[Tensor] = []
    monkeypatch.setattr(choice, "launch", lambda q, plan, out: queries.append(q))
    return queries


def add(kernels: choice.TritonKernels, case: Case, plan: LayerPlan | None = None) -> bool:
    q = queries_of(case)
    with torch.no_grad():
        return kernels.add_semantic_map(q, plan or plan_of(case), torch.zeros_like(q))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_kernels_are_used_for_sampling(
    kernels: choice.TritonKernels, launched: list[Tensor], dtype: torch.dtype
) -> None:
    assert add(kernels, Case(WHOLE_CANVAS, dtype))
    assert len(launched) == 1


def test_the_forward_of_a_layer_is_that_of_the_kernels(
    kernels: choice.TritonKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setattr("ifadapter_core.modules.attention.TRITON", kernels)
    monkeypatch.setattr("ifadapter_core.modules.attention.normalize_heads", None)  # of the plain forward
    with torch.no_grad():
        q, plan = queries_of(Case(WHOLE_CANVAS)), plan_of(Case(WHOLE_CANVAS))
        got = add_semantic_map(q, plan)
        monkeypatch.undo()
        want = add_semantic_map(q, plan)
    assert difference(got, want) < TOLERANCES[torch.float32] * want.abs().max().item()


def test_kernels_are_not_used_on_a_cpu(launched: list[Tensor]) -> None:
    assert not add(choice.TritonKernels(), Case(WHOLE_CANVAS))
    assert not launched


def test_the_switch_turns_the_kernels_off(
    kernels: choice.TritonKernels, launched: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choice.SWITCH, "0")
    assert not add(kernels, Case(WHOLE_CANVAS))
    assert not launched


def test_kernels_are_not_used_where_gradients_may_be_needed(
    kernels: choice.TritonKernels, launched: list[Tensor]
) -> None:
    case = Case(WHOLE_CANVAS)
    q = queries_of(case)
    assert not kernels.add_semantic_map(q, plan_of(case), torch.zeros_like(q))
    assert not launched


@pytest.mark.parametrize("case", [Case(WHOLE_CANVAS, torch.float64), Case(WHOLE_CANVAS, per_instance=129)])
def test_kernels_leave_wider_numbers_and_larger_sizes_to_plain_torch(
    kernels: choice.TritonKernels, launched: list[Tensor], case: Case
) -> None:
    assert not add(kernels, case)
    assert not launched


def test_kernels_are_not_traced(kernels: choice.TritonKernels, launched: list[Tensor]) -> None:
    case = Case(WHOLE_CANVAS)
    q, plan = queries_of(case), plan_of(case)

    def used(out: Tensor) -> Tensor:
        return out + kernels.add_semantic_map(q, plan, out)

    with torch.no_grad():
        compiled = torch.compile(used, fullgraph=True, backend="eager")
        assert not compiled(torch.zeros_like(q)).any()
    assert not launched


def test_kernels_that_fail_are_said_once_and_plain_torch_goes_on(
    kernels: choice.TritonKernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[Tensor] = []

    def fail(q: Tensor, plan: LayerPlan, out: Tensor) -> None:
        tries.append(q)
        raise RuntimeError("no C compiler")

    case = Case(WHOLE_CANVAS)
    q, plan = queries_of(case), plan_of(case)
    want = add_semantic_map(q, plan)
    monkeypatch.setattr(choice, "launch", fail)
    monkeypatch.setattr("ifadapter_core.modules.attention.TRITON", kernels)
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        assert torch.equal(add_semantic_map(q, plan), want)
        assert torch.equal(add_semantic_map(q, plan), want)

    assert len(tries) == 1
    assert [record.getMessage().endswith("RuntimeError: no C compiler") for record in caplog.records] == [
        True
    ]


def test_without_triton_plain_torch_computes_in_silence(
    kernels: choice.TritonKernels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(q: Tensor, plan: LayerPlan, out: Tensor) -> None:
        raise ModuleNotFoundError("No module named 'triton'", name="triton")

    monkeypatch.setattr(choice, "launch", fail)
    assert not add(kernels, Case(WHOLE_CANVAS))
    assert not caplog.records


@pytest.mark.parametrize(
    ("switch", "error"), [("1", RuntimeError("no C compiler")), ("", torch.OutOfMemoryError("full"))]
)
def test_errors_that_the_user_or_the_host_must_see_are_raised(
    kernels: choice.TritonKernels, monkeypatch: pytest.MonkeyPatch, switch: str, error: Exception
) -> None:
    def fail(q: Tensor, plan: LayerPlan, out: Tensor) -> None:
        raise error

    monkeypatch.setattr(choice, "launch", fail)
    monkeypatch.setenv(choice.SWITCH, switch)
    with pytest.raises(type(error), match=str(error)):
        add(kernels, Case(WHOLE_CANVAS))
