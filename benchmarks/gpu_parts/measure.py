"""Measurements on a device: times by CUDA events, CUDA graphs, kernel launches, peak memory."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from timing import peak_memory, side_by_side, summarize

Call = Callable[[], Any]
TimingData = dict[str, float]  # fields of timing.Timing, in milliseconds


def times(
    calls: dict[str, Call], device: torch.device, repeats: int, warmups: int = 3, seconds: float = 5.0
) -> dict[str, TimingData]:
    """Time calls in turns. Each call starts on an idle device, so gaps between its kernels count.

    repeats: timed calls each; fewer if they take longer than ``seconds`` in total.
    """
    if device.type != "cuda":
        return {name: asdict(timing) for name, timing in side_by_side(calls, repeats, 1).items()}
    for call in calls.values():
        for _ in range(warmups):
            call()
    spans: dict[str, list[tuple[Any, Any]]] = {name: [] for name in calls}
    start_time = time.monotonic()
    for _ in range(repeats):
        for name, call in calls.items():
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize(device)
            start.record()
            call()
            end.record()
            spans[name].append((start, end))
        if time.monotonic() - start_time > seconds:
            break
    torch.cuda.synchronize(device)
    return {
        name: asdict(summarize([start.elapsed_time(end) for start, end in pairs]))
        for name, pairs in spans.items()
    }


class Successive(NamedTuple):
    """Calls in a row, without waiting for the device in between.

    ms: milliseconds of each call on the device.
    host_ms: milliseconds in which the host issued one, on average. If this is as long as a call
        takes on the device, the device waits for the host.
    """

    ms: list[float]
    host_ms: float


def successive_times(call: Call, device: torch.device, repeats: int) -> Successive:
    """Time several calls in a row."""
    if device.type != "cuda":
        ends = [time.perf_counter()]
        for _ in range(repeats):
            call()
            ends.append(time.perf_counter())
        return Successive(
            [1000 * (end - start) for start, end in itertools.pairwise(ends)],
            1000 * (ends[-1] - ends[0]) / repeats,
        )
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    torch.cuda.synchronize(device)
    start_time = time.perf_counter()
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    host_ms = 1000 * (time.perf_counter() - start_time) / repeats
    torch.cuda.synchronize(device)
    return Successive([start.elapsed_time(end) for start, end in itertools.pairwise(marks)], host_ms)


def graphed(call: Call, warmups: int = 3) -> Call:
    """The call as a CUDA graph: one launch for all its kernels. Its inputs must stay where they are."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warmups):
            call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, capture_error_mode="relaxed"):
            result = call()
    finally:
        torch.cuda.set_stream(stream)  # torch leaves its own one after an error

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def launches(call: Call, device: torch.device) -> tuple[int, list[list[Any]]]:
    """Kernel launches of a call, copies included, and [kernel, launches, microseconds] of the slowest.

    Counted by torch's profiler, on CUDA only. Raises RuntimeError if it reports none.
    """
    call()
    torch.cuda.synchronize(device)
    kernels: list[Any] = []
    on_cpu, on_gpu = torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA
    for activities in ([on_gpu], [on_cpu, on_gpu]):  # some versions report kernels beside operators only
        with torch.profiler.profile(activities=activities) as profile:
            call()
            torch.cuda.synchronize(device)
        kernels = kernels or list(_device_events(profile.events() or ()))
        if kernels:
            break
    if not kernels:
        raise RuntimeError("torch's profiler reported no kernel on the GPU; it may lack the rights to.")
    spent: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in kernels:
        counts[event.name[:90]] += 1
        spent[event.name[:90]] += event.time_range.elapsed_us()
    return len(kernels), [[name, counts[name], round(us, 1)] for name, us in spent.most_common(12)]


def _device_events(events: Iterable[Any]) -> Iterable[Any]:
    """Kernels, copies and fills on the GPU, without the profiler's own marks."""
    for event in events:
        on_gpu = event.device_type == torch.autograd.DeviceType.CUDA
        if on_gpu and not event.name.startswith(("Activity Buffer", "ProfilerStep", "Context Sync")):
            yield event


def peak_mib(call: Call, device: torch.device) -> float:
    """Peak memory of new tensors during a call, its result included, in MiB."""
    if device.type != "cuda":
        return peak_memory(call)
    call()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = call()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before
    del result
    return peak / 2**20
