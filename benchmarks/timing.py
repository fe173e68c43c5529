"""Times side by side in one run, and the memory that a call takes."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MIB = 1024 * 1024


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median of its repetitions, and the quarters of them around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f} .. {self.high:.1f})"


def side_by_side(calls: dict[str, Callable[[], Any]], repeats: int, warmups: int = 1) -> dict[str, Timing]:
    """Time calls in turns, so that a machine that is busy now and then slows all of them."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warmups + repeats):
        for name, call in calls.items():
            _wait()
            start = time.perf_counter()
            call()
            _wait()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: _timing(values[warmups:]) for name, values in taken.items()}


def peak_memory(call: Callable[[], Any]) -> float:
    """MiB of tensors that a call holds at most beyond those that were there before it, its result included."""
    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with _Storages() as storages:
        call()
    return storages.peak / MIB


def operators(call: Callable[[], Any]) -> int:
    """Operators that a call runs, views not counted: on a GPU about one kernel launch each."""
    with _Operators() as seen:
        call()
    return seen.count


class _Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view and func is not torch.ops.aten.empty.memory_format
        return func(*args, **(kwargs or {}))


class _Storages(TorchDispatchMode):
    """Counts the bytes of the storages that operators make, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            leaf.untyped_storage().data_ptr()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage(), given)
        return out

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = storage._cdata
        if storage.data_ptr() in given or (key in self._known and self._known[key].alive):
            return
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        self._known[key] = weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


def _timing(values: list[float]) -> Timing:
    if len(values) == 1:
        return Timing(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(median, low, high)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
