"""A ControlNet, trained with the budget of an adapter."""

from __future__ import annotations

from typing import Any

from ..numbers.scores import LEAKED
from ..numbers.step_time import weight_count
from ..painting import Painting
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study
from ..trained.adapters import TrainedAdapter
from ..trained.control import TrainedControl

TITLES = {"adapter": "IFAdapter, same budget", "control": "ControlNet on coloured boxes"}
MEASURES = ("success", "drawn_well", "found", "leaked")
TEXT = """A ControlNet (a copy of the UNet's encoder with convolutions that start at zero) sees the layout
drawn in colours: each box filled with the main colour of its figure. Its prompts have all descriptions.
Beside it an adapter that was trained with the same pictures and steps."""


def answer(record: Record) -> str:
    weights = record.extra["weights"]
    parts = [record.compared("adapter", "control", measure) for measure in MEASURES]
    return f"{'; '.join(parts)} (weights: {weights['adapter']:,} and {weights['control']:,})"


def brief(record: Record) -> str:
    right, leaked = (record.standing(["control"], "adapter", measure) for measure in ("success", LEAKED))
    return f"{right}; leaked: {leaked}"


def extra(studio: Any, _scores: Any) -> dict[str, Any]:
    copy = studio.painter(TrainedControl()).copy
    control = sum(weight.numel() for weight in copy.parameters())
    return {"weights": {"adapter": weight_count(studio, TrainedAdapter()), "control": control}}


def plot(record: Record, figure: Any) -> None:
    bars(figure.subplots(), record, tuple(TITLES), MEASURES)


STUDY = Study(
    "ladder-control",
    "ControlNet",
    TEXT,
    [
        Condition("adapter", TITLES["adapter"], Painting(models=TrainedAdapter())),
        Condition("control", TITLES["control"], Painting("control", models=TrainedControl())),
    ],
    [Comparison("adapter", "control", measure) for measure in MEASURES],
    answer,
    brief,
    plot,
    condition_table,
    shown=tuple(TITLES),
    trains=True,
    frechet=True,
    extra=extra,
)
