"""The scores of figures before and after a detail pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..drawing import Pixels
from ..results.picture_score import InstanceScore, score_instances
from ..results.tables import markdown, percent
from ..scene import Scene
from .passes import DetailPass

MEASURES = {"success": "judged right", "drawn_well": "drawn well"}


@dataclass(frozen=True)
class Change:
    """A measure of the figures that were sampled again.

    figures: their number.
    before, after: how many have it.
    gained, lost: how many have it only after, and only before.
    """

    figures: int
    before: int
    after: int
    gained: int
    lost: int


def small_figures(pictures: Pixels, scenes: Sequence[Scene], settings: DetailPass) -> list[InstanceScore]:
    """The scores of all figures that a detail pass takes, picture by picture."""
    return [
        score
        for picture, scene in zip(pictures, scenes, strict=True)
        if any(map(settings.takes, scene.figures))
        for score, figure in zip(score_instances(picture, scene), scene.figures, strict=True)
        if settings.takes(figure)
    ]


def compare(before: Sequence[InstanceScore], after: Sequence[InstanceScore], measure: str) -> Change:
    """The change of a measure, one of MEASURES, of the same figures."""
    pairs = [(old.has(measure), new.has(measure)) for old, new in zip(before, after, strict=True)]
    return Change(
        figures=len(pairs),
        before=sum(old for old, _ in pairs),
        after=sum(new for _, new in pairs),
        gained=sum(new and not old for old, new in pairs),
        lost=sum(old and not new for old, new in pairs),
    )


def table(changes: dict[str, dict[str, Change]]) -> str:
    """Markdown table of the changes: set of layouts -> measure -> change."""
    head = ("layouts", "figures", "measure", "before", "after", "gained", "lost")
    lines = [
        (
            title,
            str(change.figures),
            MEASURES[measure],
            f"{_share(change.before, change)} %",
            f"**{_share(change.after, change)} %**",
            str(change.gained),
            str(change.lost),
        )
        for title, measures in changes.items()
        for measure, change in measures.items()
    ]
    return markdown([head, *lines])


def _share(count: int, change: Change) -> str:
    return percent(count / change.figures if change.figures else None)
