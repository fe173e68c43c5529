"""Interleaved timing, peak memory and operator counts of calls."""

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
    """Duration of a call in milliseconds.

    median: median of the repetitions.
    low: first quartile.
    high: third quartile.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f} .. {self.high:.1f})"


def side_by_side(calls: dict[str, Callable[[], Any]], repeats: int, warmups: int = 1) -> dict[str, Timing]:
    """Time calls in turns, so that other load on the machine slows all of them alike."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warmups + repeats):
        for name, call in calls.items():
            _synchronize()
            start = time.perf_counter()
            call()
            _synchronize()
            durations[name].append(1000 * (time.perf_counter() - start))
    return {name: summarize(values[warmups:]) for name, values in durations.items()}


def peak_memory(call: Callable[[], Any]) -> float:
    """Peak memory of new tensors during a call, its result included, in MiB."""
    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with _LiveStorages() as storages:
        call()
    return storages.peak / MIB


def operators(call: Callable[[], Any]) -> int:
    """Number of operators in a call: about one GPU kernel launch each."""
    return len(operator_names(call))


def operator_names(call: Callable[[], Any]) -> list[str]:
    """Names of the operators that a call runs, casts and copies included, views and allocations not."""
    with _Operators() as recorded:
        call()
    return recorded.names


def _has_kernel(func: Any, args: Any) -> bool:
    """Whether an operator that others can make has its own kernel on the device, as RMS norm on CUDA."""
    keys = {
        torch._C._dispatch_key_for_device(leaf.device.type)
        for leaf in tree_leaves(args)
        if isinstance(leaf, Tensor)
    }
    return any(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key) for key in keys)


class _Operators(TorchDispatchMode):
    """Records every operator that is not made of others."""

    WITHOUT_LAUNCH = ("empty", "new_empty", "detach", "alias", "_unsafe_view", "promote_types")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not _has_kernel(func, args):
            with self:  # inference mode hands over operators such as Tensor.to, which may copy or not
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        name = func.overloadpacket.__name__
        if not (func.is_view or name.startswith(self.WITHOUT_LAUNCH)):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


class _LiveStorages(TorchDispatchMode):
    """Tracks the bytes of all storages that operators allocate, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.current = self.peak = 0  # bytes
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = {
            leaf.untyped_storage().data_ptr()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage(), inputs)
        return out

    def _add(self, storage: torch.UntypedStorage, inputs: set[int]) -> None:
        key = storage._cdata
        if storage.data_ptr() in inputs or (key in self._known and self._known[key].alive):
            return
        size = storage.nbytes()
        self.current += size
        self.peak = max(self.peak, self.current)
        self._known[key] = weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.current -= size


def summarize(values: list[float]) -> Timing:
    """Median and quartiles of durations in milliseconds."""
    if len(values) == 1:
        return Timing(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(median, low, high)


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
