"""The results of a sweep as one table and as plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import json_bytes, write_atomic
from ..server import without_userinfo
from .plan import Point, Sweep, slug

WIDTH_INCHES, HEIGHT_INCHES, DPI = 6.4, 4.0, 150


@dataclass(frozen=True)
class Row:
    """A point and its scores.

    point: the point of the sweep.
    layouts: number of layouts that were scored.
    scores: by column title.
    interval: (low, high) of the first column, or None.
    """

    point: Point
    layouts: int
    scores: dict[str, float]
    interval: tuple[float, float] | None


def score_at(scores: dict[str, Any], place: str) -> Any:
    """The value at a path ``a.b.c``.

    Raises ValueError, listing the existing keys, if there is none.
    """
    value: Any = scores
    for number, key in enumerate(place.split(".")):
        if not isinstance(value, dict) or key not in value:
            known = ", ".join(value) if isinstance(value, dict) else repr(value)
            above = ".".join(place.split(".")[:number]) or "scores.json"
            raise ValueError(
                f"The scores have no {place}: {above} has {known}. "
                "Correct columns or interval of the sweep file."
            )
        value = value[key]
    return value


def make_row(sweep: Sweep, point: Point, layouts: int, scores: dict[str, Any]) -> Row:
    """scores: the content of ``scores.json``. Raises ValueError if a column is not a number, or
    the interval not two.
    """
    columns = {title: score_at(scores, place) for title, place in sweep.columns.items()}
    for title, value in columns.items():
        if type(value) not in (int, float):
            raise ValueError(f"The column {title} is {value!r} in the scores; expected a number.")
    interval = score_at(scores, sweep.interval) if sweep.interval else None
    if interval is None:
        return Row(point, layouts, columns, None)
    if not isinstance(interval, list) or [type(bound) in (int, float) for bound in interval] != [True, True]:
        raise ValueError(
            f"The interval {sweep.interval} is {interval!r} in the scores; expected [low, high]."
        )
    return Row(point, layouts, columns, (float(interval[0]), float(interval[1])))


def check_columns(sweep: Sweep, scores: dict[str, Any]) -> None:
    """Raises ValueError if a column or the interval is not in scores like these: see ``make_row``."""
    make_row(sweep, sweep.points[0], 0, scores)


def table(rows: Sequence[Row]) -> str:
    """Markdown, with the interval of the first column in brackets."""
    titles = list(rows[0].scores)
    lines = [("", "layouts", *titles), ("---",) * (len(titles) + 2)]
    lines += [(row.point.name, str(row.layouts), *_cells(row)) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: Row) -> list[str]:
    """The scores with three decimals, counts as integers."""
    first, *others = (str(value) if type(value) is int else f"{value:.3f}" for value in row.scores.values())
    return [
        first if row.interval is None else "{} ({:.3f} .. {:.3f})".format(first, *row.interval),
        *others,
    ]


def write_table(rows: Sequence[Row], folder: Path) -> None:
    """Write ``sweep.md`` and ``sweep.json``."""
    records = [
        {
            "name": row.point.name,
            "variant": row.point.variant,
            "axis": row.point.axis,
            "value": row.point.value,
            "options": [without_userinfo(word) for word in row.point.options],
            "layouts": row.layouts,
            "scores": row.scores,
            "interval": row.interval,
        }
        for row in rows
    ]
    write_atomic(folder / "sweep.json", json_bytes(records))
    write_atomic(folder / "sweep.md", table(rows).encode())


def write_plots(sweep: Sweep, rows: Sequence[Row], folder: Path) -> None:
    """Plot the first column: ``variants.png``, and one plot per axis."""
    plot_variants([row for row in rows if row.point.axis is None], folder / "variants.png")
    for axis in sweep.axes:
        plot_axis(axis, [row for row in rows if row.point.axis == axis], folder / f"{slug(axis)}.png")


def plot_variants(rows: Sequence[Row], path: Path) -> None:
    """A bar per variant."""
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
    """A line per variant.

    The x axis shows values to scale, parts of the benchmark at equal distances.
    """
    figure, axes, title = _figure(rows)

    # Positions and labels on the x axis.
    values = sorted({float(row.point.value or 0) for row in rows})
    labels = {
        float(row.point.value or 0): f"{row.point.part}\n{row.layouts} layouts"
        for row in rows
        if row.point.part
    }
    positions = {value: number if labels else value for number, value in enumerate(values)}

    # The lines.
    variants = list(dict.fromkeys(row.point.variant for row in rows))
    for variant in variants:
        line = [row for row in rows if row.point.variant == variant]
        x = [positions[float(row.point.value or 0)] for row in line]
        y = [row.scores[title] for row in line]
        axes.errorbar(x, y, yerr=_errors(line, y), label=variant, marker="o", capsize=3)

    # Ticks, titles and legend.
    axes.set_xticks(list(positions.values()), [labels.get(value, f"{value:g}") for value in values])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(name)
    axes.set_ylabel(title)
    if len(variants) > 1:
        axes.legend()
    else:
        axes.set_title(variants[0])
    figure.savefig(path, dpi=DPI)


def _figure(rows: Sequence[Row]) -> tuple[Any, Any, str]:
    """An empty figure, its axes, and the title of the plotted column."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(), next(iter(rows[0].scores))


def _errors(rows: Sequence[Row], values: Sequence[float]) -> list[list[float]] | None:
    """Distances from the values to the ends of their intervals, lower and upper; or None."""
    if any(row.interval is None for row in rows):
        return None
    bounds = [row.interval for row in rows if row.interval is not None]
    pairs = list(zip(values, bounds, strict=True))
    return [
        [max(value - low, 0.0) for value, (low, _) in pairs],
        [max(high - value, 0.0) for value, (_, high) in pairs],
    ]
