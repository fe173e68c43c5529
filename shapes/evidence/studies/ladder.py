"""The baselines that need no training, beside the adapter."""

from __future__ import annotations

from typing import Any

from ...methods import METHODS
from ..painting import Painting
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study

KEYS = ("caption", "regional", "placed", "full")
TEXT = """The base model alone with all descriptions in its prompt; regional attention without training; the
base model with rough positions in its prompt, as its training had them; and the shipped adapter, whose
prompts name no positions."""


def answer(record: Record) -> str:
    return (
        f"{record.compared('full', 'placed')}, {record.compared('full', 'placed', 'drawn_well')}; "
        f"{record.compared('full', 'caption')}; {record.compared('full', 'regional')}"
    )


def brief(record: Record) -> str:
    return record.standing(KEYS[:-1], "full")


def plot(record: Record, figure: Any) -> None:
    bars(figure.subplots(), record, KEYS, ("success", "drawn_well", "leaked"))


STUDY = Study(
    "ladder",
    "Baselines without training",
    TEXT,
    [Condition(key, METHODS[key].title, Painting(key)) for key in KEYS],
    [
        Comparison("full", other, measure)
        for other in KEYS[:-1]
        for measure in ("success", "drawn_well", "leaked")
    ],
    answer,
    brief,
    plot,
    condition_table,
    shown=KEYS,
    frechet=True,
)
