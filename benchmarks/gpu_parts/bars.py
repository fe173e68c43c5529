"""The bars of `make gpu`: what the report is measured against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LAUNCHES = 36
UNET = {"4 instances": 1.02, "10 instances": 1.03}
ENCODING = 1.5


class Bar(NamedTuple):
    """what: is measured. limit: at most this. value: measured, or None where it was not."""

    what: str
    limit: float
    value: float | None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        return "met" if self.value <= self.limit else "missed"


def bars(report: Mapping[str, Any]) -> list[Bar]:
    """All bars, with the values that the report has."""
    parts = {name: part["rows"] for name, part in report["parts"].items()}
    found = [*_exactness(parts.get("exactness", [])), *_launches(parts), *_layers(parts.get("layers", []))]
    return [*found, *_unet(parts.get("unet", [])), *_rest(parts.get("encoding", []), parts.get("memory", []))]


def worst_error(rows: list[Mapping[str, Any]], what: str, dtype: str, where: str) -> float | None:
    """Largest error of all rows of a kind. where: "device" or "cpu"."""
    return max((row[dtype][where] for row in rows if row["what"] == what and dtype in row), default=None)


def _exactness(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    for what in ("tokens", "layer"):
        for dtype in ("float32", "float16", "bfloat16"):
            device, cpu = (worst_error(rows, what, dtype, where) for where in ("device", "cpu"))
            value = None if device is None or cpu is None else device / max(cpu, 1e-300)
            yield Bar(f"largest error of the {what} in {dtype} / the CPU's", 2.0, value)


def _launches(parts: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[Bar]:
    """Launches by the profiler, or else the operators that torch counts without a GPU."""
    for part, count in (("launches", "launches"), ("layers", "operators")):
        rows = [row for row in parts.get(part, []) if row["kernel"] == "torch" and count in row]
        yield Bar(
            f"{count} of a layer, largest of all cases",
            LAUNCHES,
            max((row[count] for row in rows), default=None),
        )


def _layers(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    plain = [row for row in rows if row["kernel"] == "torch"]
    chosen = next((row for row in plain if _is(row, [32, 32], "medium", 4)), {})
    for suffix, words in (("_ms", "launched one by one"), ("_graph_ms", "in a CUDA graph")):
        ours, dense = (chosen.get(name + suffix, {}).get("median") for name in ("ours", "dense"))
        value = None if ours is None or dense is None else ours / dense
        yield Bar(f"4 medium boxes on 32 x 32, {words}: extra time / the dense reference's", 1 / 20, value)


def _unet(rows: list[Mapping[str, Any]]) -> Iterator[Bar]:
    for graph in (False, True):
        ms = {
            row["variant"]: row["ms"]["median"]
            for row in rows
            if "ms" in row and ("in a CUDA graph" in row) == graph and row["kernel"] == "torch"
        }
        for name, limit in UNET.items():
            value = ms[name] / ms["without"] if name in ms and "without" in ms else None
            yield Bar(f"UNet call{', in a CUDA graph' * graph}: {name} / without", limit, value)


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


def _is(row: Mapping[str, Any], grid: list[int], kind: str, count: int) -> bool:
    return (list(row["grid"]), row["kind"], row["count"]) == (grid, kind, count)
