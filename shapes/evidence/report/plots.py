"""The plots of the studies: success with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..numbers.intervals import Estimate
from ..numbers.scores import ALL, TITLES
from ..study import Record, Study

INCHES, DPI = (6.4, 3.6), 90
MARKERS = "osv^D*xP"


def save_plot(study: Study, record: Record, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    study.plot(record, figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def lines(
    axes: Any,
    record: Record,
    series: Mapping[str, Sequence[tuple[float, str]]],
    label: str,
    measure: str = "success",
    group: str = ALL,
) -> None:
    """A line for each series: title -> (x, key of the condition). Points without the group are left out."""
    for marker, (title, points) in zip(MARKERS, series.items(), strict=False):
        known = [(x, key) for x, key in points if group in record.conditions[key]["rates"]]
        rates = [record.rate(key, measure, group) for _, key in known]
        axes.errorbar(
            [x for x, _ in known],
            [100 * rate.value for rate in rates],
            yerr=_errors(rates),
            label=title,
            marker=marker,
            markersize=4,
            capsize=2,
        )
    axes.set_xlabel(label)
    axes.set_ylabel(f"{TITLES[measure]}, %")
    axes.set_ylim(0, 102)
    axes.grid(alpha=0.3)


def bars(axes: Any, record: Record, keys: Sequence[str], measures: Sequence[str] = ("success",)) -> None:
    """Horizontal bars of conditions, one for each measure."""
    height = 0.8 / len(measures)
    for number, measure in enumerate(measures):
        rates = [record.rate(key, measure) for key in keys]
        axes.barh(
            [row + (number - (len(measures) - 1) / 2) * height for row in range(len(keys))],
            [100 * rate.value for rate in rates],
            height,
            xerr=_errors(rates),
            label=TITLES[measure],
            ecolor="#333333",
        )
    axes.set_yticks(range(len(keys)), [record.title(key) for key in keys])
    axes.invert_yaxis()
    axes.set_xlim(0, 102)
    axes.set_xlabel("instances, %")
    axes.grid(alpha=0.3, axis="x")
    if len(measures) > 1:
        axes.figure.legend(loc="outside upper center", ncols=len(measures), fontsize="small")


def _errors(rates: Sequence[Estimate]) -> list[list[float]]:
    return [
        [100 * max(rate.value - rate.low, 0) for rate in rates],
        [100 * max(rate.high - rate.value, 0) for rate in rates],
    ]
