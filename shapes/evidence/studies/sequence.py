"""The semantic map against instance tokens in the text's sequence."""

from __future__ import annotations

from typing import Any

from ..layouts.layout_sets import LayoutSet
from ..numbers.scores import LEAKED
from ..painting import Painting
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study
from ..trained.adapters import TrainedAdapter

METHODS = {
    "map": ("semantic map", Painting(models=TrainedAdapter())),
    "sequence": ("tokens in the sequence", Painting("sequence", models=TrainedAdapter(sequence=True))),
}
SETS = {"": LayoutSet(), " alike": LayoutSet("pairs", 0.0), " overlap": LayoutSet("pairs", 0.4)}
TITLES = {"": "", " alike": ", pairs without overlap", " overlap": ", pairs of IoU 0.4"}
MEASURES = ("success", "drawn_well", "found", "leaked")
TEXT = """The same instance tokens used in two ways, by two adapters that were trained alike: in the
**semantic map**, where the cells of a box attend to their own instance and the gate mixes them; and **in
the text's sequence** in GLIGEN's manner: in each adapted layer the tokens of all instances join those of
the text in one attention, and a gate, tanh(alpha), fades between the attention to the text and to both.
There only the grounding embedding in the tokens carries the box. (GLIGEN's own layers are self-attention
with weights of their own; this variant has the weights of the map's projections and no others.) "Found"
measures the place only."""


def answer(record: Record) -> str:
    measures = ("success", "found", "leaked")
    return "; ".join(record.compared("map", "sequence", measure) for measure in measures)


def brief(record: Record) -> str:
    right, leaked = (record.standing(["sequence"], "map", measure) for measure in ("success", LEAKED))
    return f"{right}; leaked: {leaked}"


def plot(record: Record, figure: Any) -> None:
    figure.set_size_inches(7, 4)
    bars(figure.subplots(), record, tuple(record.conditions), MEASURES)


STUDY = Study(
    "sequence",
    "Map against sequence",
    TEXT,
    [
        Condition(f"{key}{name}", f"{title}{TITLES[name]}", painting, layouts)
        for name, layouts in SETS.items()
        for key, (title, painting) in METHODS.items()
    ],
    [Comparison(f"map{name}", f"sequence{name}", measure) for name in SETS for measure in MEASURES],
    answer,
    brief,
    plot,
    condition_table,
    shown=("map", "sequence", "map overlap", "sequence overlap"),
    trains=True,
)
