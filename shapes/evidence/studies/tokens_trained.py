"""The two kinds of tokens, each trained alone, and the depths of the text."""

from __future__ import annotations

from typing import Any

from ..painting import Painting
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study
from ..trained.adapters import TrainedAdapter

PAINTINGS = {
    "both": ("both kinds", Painting(models=TrainedAdapter())),
    "appearance": (
        "appearance tokens only",
        Painting("appearance", models=TrainedAdapter(eot=False)),
    ),
    "eot": ("EoT token only", Painting("eot", models=TrainedAdapter(appearance=False))),
    "shallow": ("both kinds at one text depth", Painting(models=TrainedAdapter(depths=(-2,)))),
}
OTHERS = tuple(key for key in PAINTINGS if key != "both")
MEASURES = ("success", "drawn_well", "leaked")
TEXT = """Adapters that were trained with one kind of tokens only, and one that reads the text at depth -2
alone in place of -2, -4 and -6 (4 appearance tokens in place of 12). All were trained alike; none meets
tokens in sampling that it did not meet in training."""


def answer(record: Record) -> str:
    return "; ".join(record.compared("both", other) for other in OTHERS)


def brief(record: Record) -> str:
    return f"adapters trained with {record.standing(OTHERS, 'both')}"


def plot(record: Record, figure: Any) -> None:
    bars(figure.subplots(), record, tuple(PAINTINGS), MEASURES)


STUDY = Study(
    "tokens-trained",
    "Tokens trained alone",
    TEXT,
    [Condition(key, title, painting) for key, (title, painting) in PAINTINGS.items()],
    [Comparison("both", other, measure) for other in OTHERS for measure in MEASURES],
    answer,
    brief,
    plot,
    condition_table,
    shown=tuple(PAINTINGS),
    trains=True,
    frechet=True,
)
