"""Parts 2 and 5: one adapted layer beside its cross attention, and the dense arithmetic of the release."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import layers
import torch
from layers import Bench, Case
from timing import operators
from torch import Tensor

from .measure import Call, graphed, launches, peak_mib, times
from .options import KERNELS, Options
from .report import Part, Row

GRIDS = ((32, 32), (64, 64), (26, 38))
BAR_CASES = (Case((32, 32), "medium", 4), Case((32, 32), "overlapping", 10))
REPEATS = 30


def cases(options: Options) -> list[Case]:
    """The cases of the bars first, in case that the time runs out."""
    if options.small:
        return [Case((8, 8), "medium", 1), Case((8, 10), "overlapping", 4)]
    grid = [Case(*case) for case in itertools.product(GRIDS, layers.KINDS, layers.COUNTS)]
    return [*BAR_CASES, *(case for case in grid if case not in BAR_CASES)]


class LayerCalls:
    """The calls of one case: cross attention, what ours adds, what the dense reference adds."""

    def __init__(self, bench: Bench, case: Case) -> None:
        _, self.ours, self.dense = bench.prepare(case)
        self._bench = bench
        cells = case.grid[0] * case.grid[1]
        self.x = bench.random(layers.ROWS, cells, layers.WIDTH)
        self.text = bench.random(layers.ROWS, 77, layers.TEXT)
        self.q, self.out = bench.base.to_q(self.x), torch.zeros_like(self.x)

    def all(self) -> dict[str, Call]:
        return {
            "base": lambda: self._bench.base(self.x, self.text),
            "ours": lambda: self.ours(self.q, self.out),
            "dense": lambda: self.dense(self.q, self.out),
        }


def run(part: Part, options: Options) -> None:
    """Times of every case, launched one by one and in CUDA graphs, and its number of operators."""
    with torch.inference_mode():
        bench = Bench(options.device, options.dtype, REPEATS)
        for kernel in options.kernels:
            for case in cases(options):
                part.row({**case._asdict(), "kernel": kernel}, _times(bench, case, kernel, options))
    if not options.on_gpu:
        part.leave_out("CUDA graphs: there is no GPU")


def run_compiled(part: Part, options: Options) -> None:
    """Times of our addition, compiled by torch.compile."""
    if not options.on_gpu:
        part.leave_out("torch.compile: there is no GPU")
        return
    with torch.inference_mode():
        bench = Bench(options.device, options.dtype, REPEATS)
        for case in BAR_CASES:
            part.row({**case._asdict(), "kernel": "torch, compiled"}, _compiled(bench, case, options))


def _times(bench: Bench, case: Case, kernel: str, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        with KERNELS[kernel]():
            calls = LayerCalls(bench, case)
            row |= _suffixed(times(calls.all(), options.device, REPEATS, seconds=0.4), "_ms")
            if kernel == "torch":  # torch does not count the others
                row["operators"] = operators(calls.all()["ours"])
            if options.on_gpu:
                _add_graph_times(row, calls, options)

    return fill


def _add_graph_times(row: Row, calls: LayerCalls, options: Options) -> None:
    """Add times in CUDA graphs. Raises the error of a call that cannot be captured, after the others."""
    captured = {name: _captured(call) for name, call in calls.all().items()}
    graphs = {name: graph for name, graph in captured.items() if not isinstance(graph, Exception)}
    row |= _suffixed(times(graphs, options.device, REPEATS, seconds=0.4), "_graph_ms")
    for graph in captured.values():
        if isinstance(graph, Exception):
            raise graph


def _captured(call: Call) -> Call | Exception:
    """The call as a CUDA graph, or the error where it cannot be captured."""
    try:
        return graphed(call)
    except Exception as error:
        return error


def run_launches(part: Part, options: Options) -> None:
    """Kernel launches. A part of its own near the end, since the profiler slows down what follows it."""
    if not options.on_gpu:
        part.leave_out("kernel launches: there is no GPU; the layers' operators are counted instead")
        return
    with torch.inference_mode():
        bench = Bench(options.device, options.dtype, 0)
        for kernel in options.kernels:
            for case in cases(options):
                part.row({**case._asdict(), "kernel": kernel}, _launches(bench, case, kernel, options))


def _launches(bench: Bench, case: Case, kernel: str, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        with KERNELS[kernel]():
            calls = LayerCalls(bench, case).all()
            row["launches"], slowest = launches(calls["ours"], options.device)
            if case in BAR_CASES:
                row["kernels"] = slowest
                row["base_launches"] = launches(calls["base"], options.device)[0]
                row["dense_launches"] = launches(calls["dense"], options.device)[0]

    return fill


def _compiled(bench: Bench, case: Case, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        calls = LayerCalls(bench, case)

        def ours(q: Tensor, out: Tensor) -> Tensor:
            return calls.ours(q, out)

        compiled = torch.compile(ours, dynamic=False)
        call = {"ours": lambda: compiled(calls.q, calls.out)}
        row |= _suffixed(times(call, options.device, REPEATS, seconds=2.0), "_ms")
        row["launches"], row["kernels"] = launches(call["ours"], options.device)

    return fill


def _suffixed(values: dict[str, Any], suffix: str) -> dict[str, Any]:
    return {f"{name}{suffix}": value for name, value in values.items()}


def run_memory(part: Part, options: Options) -> None:
    """Part 5: peak extra memory of one layer, ours and dense."""
    with torch.inference_mode():
        bench = Bench(options.device, options.dtype, 0)
        chosen = [
            case for case in cases(options) if case.kind in ("medium", "overlapping") and case.count > 1
        ]
        for kernel in options.kernels:
            for case in chosen:
                part.row({**case._asdict(), "kernel": kernel}, _memory(bench, case, kernel, options))


def _memory(bench: Bench, case: Case, kernel: str, options: Options) -> Callable[[Row], None]:
    def fill(row: Row) -> None:
        with KERNELS[kernel]():
            calls = LayerCalls(bench, case).all()
            row["ours_mib"] = round(peak_mib(calls["ours"], options.device), 2)
            row["dense_mib"] = round(peak_mib(calls["dense"], options.device), 2)

    return fill
