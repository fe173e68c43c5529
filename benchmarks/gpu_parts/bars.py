"""The bars of `make gpu`: what the report is measured against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LAUNCHES = {"torch": 36, "triton": 10}
UNET = {"4 instances": 1.02, "10 instances": 1.03}
ENCODING = 1.5
STEADY = 1.1  # of times that should be equal: largest / smallest where a ratio of them says something
DTYPES = ("float32", "float16", "bfloat16")


class Bar(NamedTuple):
    """what: is measured. limit: at most this. value: measured, or None where it was not. note: why not."""

    what: str
    limit: float
    value: float | None
    note: str = "not measured"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return self.note
        return "met" if self.value <= self.limit else "missed"


def bars(report: Mapping[str, Any]) -> list[Bar]:
    """All bars, with the values that the report has."""
    parts = {name: part["rows"] for name, part in report["parts"].items()}
    found = [*_exactness(parts.get("exactness", [])), *_launches(parts), *_layers(parts.get("layers", []))]
    return [*found, *_unet(parts.get("unet", [])), *_rest(parts.get("encoding", []), parts.get("memory", []))]


def kernels_of(rows: list[Mapping[str, Any]]) -> list[str]:
    """The kernels that the rows were measured with, each once, or torch alone."""
    return list(dict.fromkeys(row["kernel"] for row in rows)) or ["torch"]


def worst_error(rows: list[Mapping[str, Any]], what: str, dtype: str, where: str) -> float | None:
    """Largest error of all rows of a kind. where: "cpu", "device" or the name of a kernel there."""
    chosen = (row.get(dtype, {}) for row in rows if row["what"] == what)
    return max((errors[where] for errors in chosen if where in errors), default=None)


def _exactness(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    for what, dtype in itertools.product(("tokens", "layer"), DTYPES):
        cpu = worst_error(rows, what, dtype, "cpu")
        for where, words in (("device", ""), ("triton", _by("triton"))):
            error = worst_error(rows, what, dtype, where)
            if error is not None or where == "device":
                value = None if error is None or cpu is None else error / max(cpu, 1e-300)
                yield Bar(f"{words}largest error of the {what} in {dtype} / the CPU's", 2.0, value)


def _launches(parts: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Bar]:
    """Launches by the profiler, or else the operators that torch counts without a GPU."""
    launched = parts.get("launches", [])
    part, count = ("launches", "launches") if launched else ("layers", "operators")
    for kernel in dict.fromkeys([*kernels_of(launched), *kernels_of(parts.get("layers", []))]):
        rows = [row for row in parts.get(part, []) if row["kernel"] == kernel and count in row]
        usual = [row[count] for row in rows if not _is_largest(row)]
        largest = [row[count] for row in rows if _is_largest(row)]
        yield Bar(f"{_by(kernel)}{count} of a layer", LAUNCHES[kernel], max(usual, default=None))
        if largest:
            what = f"{_by(kernel)}{count} of a layer, 32 large boxes on 64 x 64"
            yield Bar(what, LAUNCHES[kernel], max(largest))


def _layers(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    for kernel in kernels_of(rows):
        own = (row for row in rows if row["kernel"] == kernel)
        chosen = next((row for row in own if _is(row, [32, 32], "medium", 4)), {})
        for suffix, words in (("_ms", "launched one by one"), ("_graph_ms", "in a CUDA graph")):
            ours, dense = (chosen.get(name + suffix, {}).get("median") for name in ("ours", "dense"))
            value = None if ours is None or dense is None else ours / dense
            what = f"{_by(kernel)}4 medium boxes on 32 x 32, {words}: extra time / the dense reference's"
            yield Bar(what, 1 / 20, value)


def _unet(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    for kernel, graph in itertools.product(kernels_of(rows), (False, True)):
        own = [row for row in rows if "ms" in row and ("in a CUDA graph" in row) == graph]
        if graph and not own:
            continue
        for name, limit in UNET.items():
            what = f"{_by(kernel)}UNet call{', in a CUDA graph' * graph}: {name} / without"
            yield Bar(what, limit, *ratio_of(own, name, kernel))


def ratio_of(rows: list[Mapping[str, Any]], name: str, kernel: str) -> tuple[float | None, str]:
    """Ratio of a UNet call to that without the adapter, or None and why there is none."""
    row = next((row for row in rows if (row["variant"], row["kernel"]) == (name, kernel)), None)
    without = [row for row in rows if row["variant"].startswith("without")]
    own = [row for row in without if row["kernel"] == kernel] or without
    if row is None or not own:
        return None, "not measured"
    if "ratio" in row:
        value, low, high = (row["ratio"][key] for key in ("median", "low", "high"))
    else:  # of calls at different times
        medians = [row["ms"]["median"] for row in own]
        value, low, high = row["ms"]["median"] / medians[0], min(medians), max(medians)
    if high > STEADY * low:
        return None, f"unknown: what should be equal varied by {100 * (high / low - 1):.0f} %"
    return value, ""


def _rest(encoding: list[Mapping[str, Any]], memory: list[Mapping[str, Any]]) -> Iterator[Bar]:
    ms = next((row["ms"] for row in encoding if row["what"] == "encoding" and "ms" in row), {})
    plain = next((timing["median"] for name, timing in ms.items() if "plain" in name), None)
    ten = ms.get("10 instances", {}).get("median")
    yield Bar("encoding 10 instances / three plain prompts", ENCODING, ten / plain if ten and plain else None)
    row = next((row for row in memory if _is(row, [32, 32], "overlapping", 10)), {})
    ours, dense = row.get("ours_mib"), row.get("dense_mib")
    yield Bar(
        "10 overlapping boxes on 32 x 32: extra memory / the dense reference's",
        1 / 5,
        ours / dense if ours is not None and dense else None,
    )


def _by(kernel: str) -> str:
    return "" if kernel == "torch" else f"by {kernel}: "


def _is(row: Mapping[str, Any], grid: list[int], kind: str, count: int) -> bool:
    return (list(row["grid"]), row["kind"], row["count"]) == (grid, kind, count)


def _is_largest(row: Mapping[str, Any]) -> bool:
    """Whether the memory bound of plain torch splits such a row into several bands."""
    return (
        row["count"] >= 32 and list(row["grid"]) == [64, 64] and row["kind"] in ("overlapping", "nearly all")
    )
