"""The rows of a sweep as one table and as plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import json_bytes, write_whole
from .config import Point, Sweep, slug

WIDTH_INCHES, HEIGHT_INCHES, DPI = 6.4, 4.0, 150


@dataclass(frozen=True)
class Row:
    """A point and what it reached. scores: by the titles of the columns. interval: of the first one."""

    point: Point
    layouts: int
    scores: dict[str, float]
    interval: tuple[float, float] | None


def score_at(scores: dict[str, Any], place: str) -> Any:
    """What stands at ``a.b.c``. Raises ValueError that names what there is."""
    value: Any = scores
    for number, key in enumerate(place.split(".")):
        if not isinstance(value, dict) or key not in value:
            known = ", ".join(value) if isinstance(value, dict) else repr(value)
            above = ".".join(place.split(".")[:number]) or "scores.json"
            raise ValueError(
                f"The scores have nothing at {place}: in {above} there is {known}. Correct columns or interval of the sweep."
            )
        value = value[key]
    return value


def make_row(sweep: Sweep, point: Point, layouts: int, scores: dict[str, Any]) -> Row:
    """Raises ValueError when a column is no number."""
    columns = {title: score_at(scores, place) for title, place in sweep.columns.items()}
    wrong = [title for title, value in columns.items() if type(value) not in (int, float)]
    if wrong:
        raise ValueError(f"The column {wrong[0]} is {columns[wrong[0]]!r} in the scores; expected a number.")
    interval = score_at(scores, sweep.interval) if sweep.interval else None
    return Row(point, layouts, columns, interval and (float(interval[0]), float(interval[1])))


def table(rows: Sequence[Row]) -> str:
    """Markdown, with the interval of the first column in brackets."""
    titles = list(rows[0].scores)
    lines = [("", "layouts", *titles), ("---",) * (len(titles) + 2)]
    lines += [(row.point.name, str(row.layouts), *_cells(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: Row) -> list[str]:
    first, *others = (str(value) if type(value) is int else f"{value:.3f}" for value in row.scores.values())
    return [first if row.interval is None else "{} ({:.3f} .. {:.3f})".format(first, *row.interval), *others]


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """``sweep.md`` and ``sweep.json``."""
    records = [
        {
            "name": row.point.name,
            "variant": row.point.variant,
            "axis": row.point.axis,
            "value": row.point.value,
            "options": list(row.point.options),
            "layouts": row.layouts,
            "scores": row.scores,
            "interval": row.interval,
        }
        for row in rows
    ]
    write_whole(folder / "sweep.json", json_bytes(records))
    write_whole(folder / "sweep.md", table(rows).encode())


def write_plots(sweep: Sweep, rows: Sequence[Row], folder: Path) -> None:
    """``variants.png``, and one for each axis, of the first column."""
    plot_variants([row for row in rows if row.point.axis is None], folder / "variants.png")
    for axis in sweep.axes:
        plot_axis(
            axis.name, [row for row in rows if row.point.axis == axis.name], folder / f"{slug(axis.name)}.png"
        )


def plot_variants(rows: Sequence[Row], path: Path) -> None:
    figure, axes, title = _figure(rows)
    values = [row.scores[title] for row in rows]
    axes.barh(
        [row.point.name for row in rows],
        values,
        xerr=_errors(rows, values),
        color="#4c72b0",
        ecolor="#333333",
    )
    axes.invert_yaxis()
    axes.set_xlabel(title)
    figure.savefig(path, dpi=DPI)


def plot_axis(name: str, rows: Sequence[Row], path: Path) -> None:
    """A line for each variant. Values stand at their places, parts of the benchmark side by side."""
    figure, axes, title = _figure(rows)
    values = sorted({float(row.point.value or 0) for row in rows})
    labels = {
        float(row.point.value or 0): f"{row.point.part}\n{row.layouts} layouts"
        for row in rows
        if row.point.part
    }
    places = {value: number if labels else value for number, value in enumerate(values)}
    variants = list(dict.fromkeys(row.point.variant for row in rows))
    for variant in variants:
        line = [row for row in rows if row.point.variant == variant]
        reached = [row.scores[title] for row in line]
        at = [places[float(row.point.value or 0)] for row in line]
        axes.errorbar(at, reached, yerr=_errors(line, reached), label=variant, marker="o", capsize=3)
    axes.set_xticks(list(places.values()), [labels.get(value, f"{value:g}") for value in values])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(name)
    axes.set_ylabel(title)
    if len(variants) > 1:
        axes.legend()
    else:
        axes.set_title(variants[0])
    figure.savefig(path, dpi=DPI)


def _figure(rows: Sequence[Row]) -> tuple[Any, Any, str]:
    """An empty figure, its axes, and the title of the column that is plotted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(), next(iter(rows[0].scores))


def _errors(rows: Sequence[Row], values: Sequence[float]) -> list[list[float]] | None:
    """How far the intervals go below and above the values."""
    if any(row.interval is None for row in rows):
        return None
    bounds = [row.interval for row in rows if row.interval is not None]
    pairs = list(zip(values, bounds, strict=True))
    return [
        [max(value - low, 0.0) for value, (low, _) in pairs],
        [max(high - value, 0.0) for value, (_, high) in pairs],
    ]
