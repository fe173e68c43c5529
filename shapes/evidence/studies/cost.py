"""What the adapter costs, against what its strength, start and end give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ifadapter_diffusers.sampling import Control

from ...results.tables import markdown
from ..numbers.step_time import measure_steps
from ..painting import Painting
from ..report.plots import lines
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study, is_clear, share

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
STARTS = (0.0, 0.1, 0.2, 0.3, 0.5)
ENDS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
USUAL = "strength 1"  # from the start to the end
UNSEEN = "no loss of judged right is seen"
TEXT = """The shipped adapter with another strength, or active in a part of the noise schedule only: from
*start* (0 = pure noise) to *end* (1 = no noise). A step in which it is not active costs what the base model
costs. With `--timing` the study also measures the adapter's share of a step and, on a GPU, of the memory."""


def conditions() -> list[Condition]:
    by_strength = [(_key("strength", value), Control(strength=value)) for value in STRENGTHS]
    by_start = [(_key("start", value), Control(start_percent=value)) for value in STARTS[1:]]
    by_end = [(_key("end", value), Control(end_percent=value)) for value in ENDS[:-1]]
    return [
        Condition(key, key, Painting(control=control)) for key, control in (*by_strength, *by_start, *by_end)
    ]


def _key(name: str, value: float) -> str:
    """The usual settings are one condition."""
    is_usual = (name, value) in (("start", 0.0), ("end", 1.0))
    return USUAL if is_usual else f"{name} {value:g}"


def answer(record: Record) -> str:
    same = [
        value
        for value in STRENGTHS
        if value == 1 or not is_clear(record.difference(_key("strength", value), USUAL))
    ]
    others = [value for value in same if value != 1]
    rest = (
        f"no difference seen from strength 1 at {_listed(others)}" if others else "all others differ from 1"
    )
    ends = ", ".join(f"{end:g}: {share(record.rate(_key('end', end)))}" for end in ENDS)
    starts = ", ".join(f"{start:g}: {share(record.rate(_key('start', start)))}" for start in STARTS)
    window = [f"{_latest_start(record)} (by start, {starts})", f"{_earliest_end(record)} (by end, {ends})"]
    return "; ".join([_best(record), rest, *window, *_timing(record)])


def brief(record: Record) -> str:
    return "; ".join([_best(record), _latest_start(record), _earliest_end(record), *_timing(record)])


def _best(record: Record) -> str:
    best = max(STRENGTHS, key=lambda value: record.rate(_key("strength", value)).value)
    return f"strength {best:g} has the highest rate ({share(record.rate(_key('strength', best)))})"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _latest_start(record: Record) -> str:
    """The latest start up to which no difference to the whole schedule is seen."""
    enough = 0.0
    for start in STARTS[1:]:
        found = record.difference(_key("start", start), USUAL)
        if is_clear(found) and found.value < 0:
            break
        enough = start
    if not enough:
        return "every later start loses some"
    lost = _lost(record, "start", enough)
    return f"up to a start of {enough:g} {UNSEEN} (drawn well: {lost})"


def _lost(record: Record, name: str, value: float, measure: str = "drawn_well") -> str:
    found = record.difference(_key(name, value), USUAL, measure)
    return f"{100 * found.value:+.1f} points" if is_clear(found) else "no difference seen"


def _earliest_end(record: Record) -> str:
    """The earliest end from which on no difference to the whole schedule is seen."""
    enough = 1.0
    for end in sorted(ENDS[:-1], reverse=True):
        found = record.difference(_key("end", end), USUAL)
        if is_clear(found) and found.value < 0:
            break
        enough = end
    if enough == 1:
        costs = ", ".join(f"{_lost(record, 'end', end, 'success')} at {end:g}" for end in (ENDS[-2], ENDS[2]))
        return f"every earlier end loses some ({costs})"
    saved = f"{100 * (1 - enough):.0f} % of its steps"
    lost = _lost(record, "end", enough)
    return f"down to an end of {enough:g}, which saves {saved}, {UNSEEN} (drawn well: {lost})"


def _timing(record: Record) -> list[str]:
    steps = record.extra.get("steps")
    if not steps:
        return []
    extra = [100 * (one["adapted_ms"] / one["plain_ms"] - 1) for one in steps]
    counts = [one["instances"] for one in steps]
    return [
        f"with {counts[0]} to {counts[-1]} instances a step takes {min(extra):.0f} to {max(extra):.0f} % "
        f"longer, and the adapter has {100 * record.extra['weight_share']:.0f} % of the UNet's weights"
    ]


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(9, 3)
    axes = figure.subplots(1, 3)
    for one, (name, values) in zip(
        axes, (("strength", STRENGTHS), ("start", STARTS), ("end", ENDS)), strict=True
    ):
        points = [(value, _key(name, value)) for value in values]
        lines(one, record, {"judged right": points}, name)
        lines(one, record, {"drawn well": points}, name, "drawn_well")
        one.set_ylabel("instances, %")
    axes[0].legend(fontsize="small")


def tables(record: Record) -> str:
    steps = record.extra.get("steps")
    if not steps:
        return condition_table(record)
    in_memory = "plain_mib" in steps[0]
    head = ["instances", "step without the adapter, ms", "with it, ms", "longer by"]
    head += ["peak memory without it, MiB", "with it"] if in_memory else []
    rows = []
    for one in steps:
        longer = 100 * (one["adapted_ms"] / one["plain_ms"] - 1)
        row = [str(one["instances"]), f"{one['plain_ms']:.2f}", f"{one['adapted_ms']:.2f}", f"{longer:.0f} %"]
        row += [f"{one['plain_mib']:.1f}", f"{one['adapted_mib']:.1f}"] if in_memory else []
        rows.append(row)
    text = (
        f"One step of one picture (a batch of 2: conditional and unconditional), the median of "
        f"{record.extra['repeats']}, on {record.extra['device']}. Tokens are made once for a layout: "
        f"{steps[-1]['encode_ms']:.1f} ms for {steps[-1]['instances']} instances, with the text encoder."
    )
    return "\n\n".join([condition_table(record), text, markdown([head, *rows])])


STUDY = Study(
    "cost",
    "Cost against quality",
    TEXT,
    conditions(),
    [
        Comparison(condition.key, USUAL, measure)
        for condition in conditions()
        if condition.key != USUAL
        for measure in ("success", "drawn_well")
    ],
    answer,
    brief,
    plot,
    tables,
    shown=("strength 0.5", USUAL, "strength 1.5", "start 0.2", "end 0.3"),
    extra=measure_steps,
)
