"""The number of appearance queries L."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ...results.tables import markdown
from ..numbers.step_time import time_models, weight_count
from ..painting import Painting
from ..report.plots import lines
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study, is_clear, percent
from ..trained.adapters import TrainedAdapter

COUNTS = (1, 2, 4, 8)
ATTRIBUTES = ("shape", "colour", "pattern", "pattern_colour")
TEXT = """Four adapters for the shipped base model that differ in the number of appearance queries for each
text depth only: 1, 2, 4 (the demo's) or 8, trained alike on the same pictures. With `--timing` also the time
of a step and of the encoding."""


def answer(record: Record) -> str:
    return "; ".join(record.compared(f"L {more}", f"L {fewer}") for fewer, more in pairwise(COUNTS))


def brief(record: Record) -> str:
    """The smallest number from which on no more is clearly better."""
    enough = COUNTS[-1]
    for count in reversed(COUNTS[:-1]):
        found = [record.difference(f"L {more}", f"L {count}") for more in COUNTS if more > count]
        if any(is_clear(one) and one.value > 0 for one in found):
            break
        enough = count
    rates = ", ".join(f"{count}: {percent(record.rate(f'L {count}'))}" for count in COUNTS)
    if enough == COUNTS[-1]:
        return f"{enough} for each text depth are better than {COUNTS[-2]} ({rates})"
    fewer = "" if enough == COUNTS[0] else ", fewer are worse"
    return f"no difference seen between {enough} and more for each text depth{fewer} ({rates})"


def extra(studio: Any, _scores: Any) -> dict[str, Any]:
    models = {f"L {count}": TrainedAdapter(queries=count) for count in COUNTS}
    weights = {key: weight_count(studio, one) for key, one in models.items()}
    times = {key: time_models(studio, one) for key, one in models.items()} if studio.options.timing else {}
    return {"weights": weights, "times": times}


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(9, 3.4)
    left, right = figure.subplots(1, 2)
    points = [(count, f"L {count}") for count in COUNTS]
    for measure, title in (("success", "judged right"), ("drawn_well", "drawn well")):
        lines(left, record, {title: points}, "appearance queries", measure)
    for measure in ATTRIBUTES:
        lines(right, record, {measure.replace("_", " "): points}, "appearance queries", measure)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
        axes.set_ylabel("instances, %")
        axes.legend(fontsize="small")


def tables(record: Record) -> str:
    times = record.extra["times"]
    head = ["", "weights of the adapter"]
    if times:
        head += ["a step of 4 instances, ms", "encoding 4 instances, ms"]
    rows = []
    for key, count in record.extra["weights"].items():
        row = [record.title(key), f"{count:,}"]
        if times:
            row += [f"{times[key]['adapted_ms']:.2f}", f"{times[key]['encode_ms']:.2f}"]
        rows.append(row)
    return "\n\n".join([condition_table(record), markdown([head, *rows])])


STUDY = Study(
    "queries",
    "Appearance queries",
    TEXT,
    [
        Condition(f"L {count}", f"L = {count}", Painting(models=TrainedAdapter(queries=count)))
        for count in COUNTS
    ],
    [
        Comparison(f"L {more}", f"L {fewer}", measure)
        for fewer in COUNTS
        for more in COUNTS
        if more > fewer
        for measure in ("success", "drawn_well", *ATTRIBUTES)
    ],
    answer,
    brief,
    plot,
    tables,
    trains=True,
    frechet=True,
    extra=extra,
)
