"""Markdown tables of the layer benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timing import Timing, markdown


def time_table(rows: Sequence[dict[str, Any]]) -> str:
    """Times and memory per case."""
    head = ["grid", "boxes", "n", "summed area", "cross attention, ms", "ours adds, ms", "dense adds, ms"]
    head += ["ours / cross attention", "dense / ours", "memory, ours", "memory, dense"]
    lines = []
    for row in rows:
        base, ours, dense = (Timing(**row[f"{name}_ms"]) for name in ("base", "ours", "dense"))
        lines.append(
            [
                f"{row['grid'][0]} x {row['grid'][1]}",
                row["kind"],
                str(row["count"]),
                f"{row['summed_area']:.2f}",
                str(base),
                str(ours),
                str(dense),
                f"{100 * ours.median / base.median:.1f} %",
                f"{dense.median / ours.median:.0f} x",
                f"{row['ours_extra_mib']:.1f} MiB",
                f"{row['dense_extra_mib']:.1f} MiB",
            ]
        )
    return markdown(head, lines)


def growth_table(rows: Sequence[dict[str, Any]], batch_rows: int) -> str:
    """Added time by covered cells. batch_rows: rows of the batch, each with the same cells."""
    lines = []
    for row in rows:
        cells, ours = row["summed_area"] * row["grid"][0] * row["grid"][1], row["ours_ms"]["median"]
        lines.append(
            [
                f"{32 * row['grid'][0]}",
                str(row["count"]),
                f"{cells:.0f}",
                f"{ours:.2f}",
                f"{1000 * ours / cells / batch_rows:.2f}",
                f"{100 * ours / row['base_ms']['median']:.1f} %",
            ]
        )
    return markdown(
        ["px", "n", "covered cells", "ours adds, ms", "us per cell", "ours / cross attention"], lines
    )


def operator_table(rows: Sequence[dict[str, Any]]) -> str:
    """Operators per layer."""
    head = ["boxes", "n", "cross attention", "ours adds", "dense adds"]
    return markdown(
        head,
        [[row["kind"], *(str(row[name]) for name in ("count", "base", "ours", "dense"))] for row in rows],
    )
