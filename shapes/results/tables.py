"""The Markdown tables of the results. All rates are in percent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..recognition.verifier import ATTRIBUTES
from .confusion import NOT_FOUND, Matrix
from .rows import FULL, REAL, TITLES

Rows = dict[str, dict[str, Any]]  # row of the tables -> its scores, from ``summarize``

README_ROWS = (REAL, "autoencoder", "caption", "placed", "regional", "eot", FULL)
README_TITLES = {
    "caption": "no adapter, all descriptions in one prompt",
    "placed": "the same with rough positions in words",
    FULL: "**IFAdapter**",
}


def score_table(rows: Rows) -> str:
    """The scores of each row."""
    names = (*(name.replace("_", " ") for name in ATTRIBUTES), "AP50", "Frechet")
    lines = [("", "judged right", "drawn well", *names)]
    for name, row in rows.items():
        bars = [
            f"**{percent(row[bar])}** ({_bounds(row[f'{bar}_interval'])})"
            for bar in ("success", "drawn_well")
        ]
        shares = (percent(row[key]) for key in (*ATTRIBUTES, "ap50"))
        lines.append((TITLES[name], *bars, *shares, f"{row['frechet']:.2f}"))
    return markdown(lines)


def count_table(rows: Rows, bar: str) -> str:
    """A rate by number of instances. bar: "success" or "drawn_well"."""
    key = f"{bar}_by_instances"
    counts = list(next(iter(rows.values()))[key])
    lines = [(TITLES[name], *(percent(row[key][count]) for count in counts)) for name, row in rows.items()]
    return markdown([("instances", *counts), *lines])


def error_table(rows: Rows) -> str:
    """The judge's own errors: instances of real drawings that it gets wrong, by attribute.

    rows: row ``real`` of each set of layouts, by title.
    """
    lines = [("", "instances", "any", *(name.replace("_", " ") for name in ATTRIBUTES))]
    for title, row in rows.items():
        wrong = [round((1 - row[key]) * row["instances"]) for key in ("success", *ATTRIBUTES)]
        cells = (f"{count} ({percent(count / row['instances'])} %)" for count in wrong)
        lines.append((title, str(row["instances"]), *cells))
    return markdown(lines)


def confusion_table(matrix: Matrix) -> str:
    """Asked values as rows, recognized ones as columns. Values that occur nowhere are left out."""
    seen = [value for value in next(iter(matrix.values())) if any(row[value] for row in matrix.values())]
    columns = [value for value in seen if value != NOT_FOUND] + [NOT_FOUND]
    lines = [
        (asked, *(_share(row[value], sum(row.values()), value == asked) for value in columns))
        for asked, row in matrix.items()
    ]
    return markdown([("asked", *columns), *lines])


def readme_table(rows: Rows) -> str:
    """The table of README.md: the main rows and columns."""
    keys = ("success", "drawn_well", "found", "shape", "colour", "pattern")
    lines: list[Sequence[str]] = [("", "judged right", "drawn well", "found", "shape", "colour", "pattern")]
    for name in README_ROWS:
        if name in rows:
            cells = [f"{percent(rows[name][key])} %" for key in keys]
            cells[:2] = [f"**{cell}**" if name == FULL else cell for cell in cells[:2]]
            lines.append((README_TITLES.get(name, TITLES[name]), *cells))
    return markdown(lines)


def percent(rate: float | None) -> str:
    """0..1 -> percent with one decimal; "-" for None."""
    return "-" if rate is None else f"{100 * rate:.1f}"


def markdown(lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first line is the head."""
    head, *body = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *body))


def _bounds(interval: Sequence[float]) -> str:
    low, high = interval
    return f"{percent(low)} to {percent(high)}"


def _share(count: int, total: int, right: bool) -> str:
    return f"**{percent(count / total)}**" if right else percent(count / total)
