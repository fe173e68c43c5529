"""Markdown tables of a study's numbers, in percent with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...results.tables import markdown, percent
from ..numbers.intervals import Estimate
from ..numbers.scores import ALL, TITLES
from ..study import Record

MAIN = ("success", "drawn_well")  # measures with an interval
ATTRIBUTES = ("found", "shape", "colour", "pattern", "pattern_colour", "leaked")


def condition_table(record: Record, keys: Sequence[str] | None = None) -> str:
    """A row for each condition with all measures, and the Frechet distance where it was computed."""
    keys = list(record.conditions) if keys is None else keys
    frechet = any(record.conditions[key]["frechet"] is not None for key in keys)
    head = ["", "layouts", "instances", *(TITLES[name] for name in (*MAIN, *ATTRIBUTES))]
    lines = [(*head, "Frechet") if frechet else head]
    for key in keys:
        row = record.conditions[key]
        line = [row["title"], str(row["pictures"]), str(row["instances"])]
        line += [with_interval(record.rate(key, name)) for name in MAIN]
        line += [percent(record.rate(key, name).value) for name in ATTRIBUTES]
        if frechet:
            line.append("-" if row["frechet"] is None else f"{row['frechet']:.2f}")
        lines.append(line)
    return markdown(lines)


def group_table(
    record: Record, rows: Mapping[str, Sequence[str]], columns: Sequence[str], groups: Sequence[str]
) -> str:
    """Success by group of instances.

    rows: title -> key of each column's condition. columns: their titles. A row for each title and group;
    "-" where a condition has no such instances.
    """
    lines: list[Sequence[str]] = [("", "instances", *columns)]
    for title, keys in rows.items():
        for group in groups:
            cells = [
                with_interval(record.rate(key, group=group))
                if group in record.conditions[key]["rates"]
                else "-"
                for key in keys
            ]
            lines.append((title, group if group != ALL else "**all**", *cells))
    return markdown(lines)


def with_interval(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} ({percent(estimate.low)} to {percent(estimate.high)})"
