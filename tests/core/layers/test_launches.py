"""A layer's forward: few operators, no wait for the device, traceable as a whole, same result each time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from timing import operator_names
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ifadapter_core.bands import BAND_CELLS
from ifadapter_core.geometry import build_geometry
from ifadapter_core.modules import attention
from ifadapter_core.modules.attention import add_semantic_map
from plan_cases import (
    DTYPES,
    GRID,
    ORDERS,
    boxes_of,
    fused_attention,
    geometries,
    make_layer,
    pack,
)

META = torch.device("meta")
# Six or seven of them are the RMS norm of the queries, which is one kernel on a GPU.
MAX_OPERATORS = {torch.float32: 31, torch.float16: 33, torch.bfloat16: 33}

CASES = dict(geometries())


@pytest.mark.parametrize("name", CASES)
def test_number_of_operators_does_not_depend_on_the_instances(name: str) -> None:
    packed = pack(CASES[name], in_chunks=False)
    assert len(packed.bands) == 1
    for dtype in DTYPES:
        for order in ORDERS:
            _, plan, q, out = make_layer(packed, dtype, order)
            with torch.inference_mode():
                names = operator_names(partial(add_semantic_map, q, plan, fused_attention, out))
            assert len(names) <= MAX_OPERATORS[dtype], (dtype, order, names)


def test_memory_of_a_band_is_bounded() -> None:
    """More bands where one would take too much memory."""
    packed = pack([build_geometry(boxes_of("overlapping", 32), 64, 64)] * 6, in_chunks=False)
    sizes = [band.is_cell.numel() for band in packed.bands]
    assert 3 <= len(sizes) <= 4
    assert max(sizes) <= BAND_CELLS


@pytest.mark.parametrize("inference", [False, True])
def test_casts_and_copies_count_as_operators_and_views_do_not(inference: bool) -> None:
    x = torch.ones(2, 3)
    with torch.inference_mode(inference):
        check_counts(x)


def check_counts(x: Tensor) -> None:
    assert operator_names(lambda: x.half()) == ["_to_copy"]
    assert operator_names(lambda: x.T.contiguous()) == ["clone"]
    assert operator_names(lambda: x.T.flatten()) == ["clone"]
    assert operator_names(lambda: x.T.view(3, 2).unsqueeze(0)[:, 1].detach()) == []
    assert operator_names(lambda: torch.empty(3).fill_(1)) == ["fill_"]


def test_operators_with_a_kernel_of_their_own_are_not_taken_apart() -> None:
    library = torch.library.Library("ifadapter_counted", "FRAGMENT")
    for name in ("made", "own"):
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, lambda x: x + x, "CompositeImplicitAutograd")
    library.impl("own", lambda x: x + x, "CPU")
    x = torch.ones(2)
    with torch.inference_mode():
        assert operator_names(lambda: torch.ops.ifadapter_counted.made(x)) == ["add"]
        assert operator_names(lambda: torch.ops.ifadapter_counted.own(x)) == ["own"]


@pytest.mark.parametrize(("kind", "count", "shape"), [("medium", 1, None), ("overlapping", 10, (2 * 1024,))])
def test_shared_queries_are_normalized_once(
    kind: str, count: int, shape: tuple[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before they are gathered where that is less: where instances have more cells than the grid."""
    packed = pack([build_geometry(boxes_of(kind, count), *GRID)] * 2, in_chunks=False)
    _, plan, q, out = make_layer(packed, torch.float32)
    normalize, shapes = attention.normalize_heads, []
    monkeypatch.setattr(
        attention, "normalize_heads", lambda x, heads: shapes.append(x.shape[:-1]) or normalize(x, heads)
    )
    add_semantic_map(q, plan, out=out)
    assert shapes == [shape or packed.bands[0].queries.shape]


class _DeviceGuard(TorchDispatchMode):
    """Raises where an operator waits for the device or copies from another one."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "item", "unique", "masked_select", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name.startswith(self.WAITING):
            raise AssertionError(f"{name} waits for the device")
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            if isinstance(leaf, Tensor) and leaf.device != META:
                raise AssertionError(f"{name} has a tensor on {leaf.device}")
        return out


@pytest.mark.parametrize("name", ["32 unlike, 2 rows", "a layout for each image", "windows"])
@pytest.mark.parametrize("order", ORDERS)
def test_forward_neither_waits_for_the_device_nor_uploads(name: str, order: str) -> None:
    packed = pack(CASES[name], device=META)
    _, plan, q, out = make_layer(packed, torch.float16, order, device="meta")
    with torch.inference_mode(), _DeviceGuard():
        assert add_semantic_map(q, plan, fused_attention, out).shape == q.shape


def test_guard_notices_waiting_and_uploads() -> None:
    x = torch.ones(3)
    with _DeviceGuard(), pytest.raises(AssertionError, match="tensor on cpu"):
        x.to(META)
    with _DeviceGuard(), pytest.raises(AssertionError, match="waits"):
        torch.ones(3, device=META).sum().item()


@pytest.mark.parametrize(
    ("name", "in_chunks"),
    [("4 medium, 2 rows", False), ("a layout for each image", False), ("1 medium, 2 rows", True)],
)
def test_forward_is_traced_whole(name: str, in_chunks: bool) -> None:
    packed = pack(CASES[name], in_chunks=in_chunks)
    _, plan, q, out = make_layer(packed, torch.float32)
    traced = torch.compile(add_semantic_map, fullgraph=True, backend="eager")
    with torch.no_grad():
        got = traced(q, plan, fused_attention, out.clone())
        assert got.equal(add_semantic_map(q, plan, fused_attention, out.clone()))
        assert got.abs().max() > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_plan_serves_many_calls(dtype: torch.dtype) -> None:
    """A call changes nothing in the plan: results are equal bit by bit."""
    packed = pack([build_geometry(boxes_of("overlapping", 10), *GRID)] * 2, in_chunks=False)
    _, plan, q, out = make_layer(packed, dtype)
    with torch.no_grad():
        first = add_semantic_map(q, plan, out=out.clone())
        add_semantic_map(q + 1, plan, out=out.clone())
        assert add_semantic_map(q, plan, out=out.clone()).equal(first)
    assert first.abs().max() > 0


def test_result_is_added_to_the_given_tensor() -> None:
    packed = pack([build_geometry(boxes_of("medium", 4), *GRID)] * 2)
    _, plan, q, out = make_layer(packed, torch.float32)
    with torch.no_grad():
        alone = add_semantic_map(q, plan)
        base = torch.randn_like(out)
        given = base.clone()
        assert add_semantic_map(q, plan, out=given) is given
    assert torch.allclose(given, base + alone, atol=1e-6)
    untouched = alone.abs().amax(dim=-1) == 0
    assert 0 < untouched.sum() < untouched.numel()
    assert given[untouched].equal(base[untouched])


@pytest.mark.parametrize("name", ["10 overlapping, 2 rows", "a layout for each image", "1 small, 2 rows"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_devices_without_mixed_dtypes_or_bags_give_the_same(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(CASES[name], in_chunks=False)
    _, plan, q, _ = make_layer(packed, dtype)
    with torch.no_grad():
        want = add_semantic_map(q, plan)
        monkeypatch.setattr(attention, "MIXED_DEVICES", ())
        monkeypatch.delattr(torch.nn.functional, "embedding_bag")
        got = add_semantic_map(q, plan)
    assert torch.allclose(got, want, atol=4 * torch.finfo(dtype).eps)
    assert want.abs().max() > 0.1
