"""The two kinds of tokens of one adapter, each switched off."""

from __future__ import annotations

from typing import Any

from ..painting import Painting
from ..report.plots import bars
from ..report.tables import condition_table
from ..study import Comparison, Condition, Record, Study

KEYS = ("full", "appearance", "eot")
TITLES = {"full": "both kinds", "appearance": "appearance tokens only", "eot": "EoT token only"}
TEXT = """The shipped adapter, which was trained with both kinds of tokens, sampled with all of its tokens,
without the EoT token, and without the appearance tokens."""


def answer(record: Record) -> str:
    return (
        "of an adapter trained with both kinds, "
        f"{record.compared('full', 'eot')}; {record.compared('full', 'appearance')}"
    )


def brief(record: Record) -> str:
    return f"switched off afterwards: {record.standing(KEYS[1:], 'full')}"


def plot(record: Record, figure: Any) -> None:
    bars(figure.subplots(), record, KEYS, ("success", "drawn_well", "leaked"))


STUDY = Study(
    "tokens",
    "Tokens switched off",
    TEXT,
    [Condition(key, TITLES[key], Painting(key)) for key in KEYS],
    [
        Comparison("full", other, measure)
        for other in ("eot", "appearance")
        for measure in ("success", "drawn_well")
    ],
    answer,
    brief,
    plot,
    condition_table,
    shown=KEYS,
    frechet=True,
)
